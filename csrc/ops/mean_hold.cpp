// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/mean_hold.hpp"

#include "core/for_each.hpp"       // for for_each
#include "core/simd.hpp"           // for in_best_isa
#include "ops/prediction_rows.hpp" // for PredictionRow, row_length

#include <algorithm> // for fill, min
#include <vector>    // for vector

namespace micro3d {

namespace {

/// A slice of one channel of one volume under a w: sums over its part, or the change of all of it.
struct Slice {
  Index volume, c, s;
  float t; // tanh w
};

struct SumSlice {
  static M3D_BODY void run(const MeanHold* op, const Slice* slice, double* sums) {
    alignas(64) float x0[row_length];
    const float t = slice->t;
    for (Index h = 0; h < op->part[1]; ++h)
      for (Index w = 0; w < op->part[2]; w += row_length) {
        const Index n = std::min(row_length, op->part[2] - w);
        PredictionRow{slice->volume, slice->c, slice->s, h, w, n}.predict(*op, x0);
        float sum = 0.0f, squares = 0.0f;
#pragma omp simd reduction(+ : sum, squares)
        for (Index i = 0; i < n; ++i) {
          const float y = op->tilted(x0[i], t);
          sum += y;
          squares += y * y;
        }
        sums[0] += static_cast<double>(sum);
        sums[1] += static_cast<double>(squares);
      }
  }
};

struct TiltSlice {
  static M3D_BODY void run(const MeanHold* op, const Slice* slice) {
    alignas(64) float x0[row_length];
    const float t = slice->t;
    const MeanHold local = *op;
    for (Index h = 0; h < op->extent[2]; ++h)
      for (Index w = 0; w < op->extent[3]; w += row_length) {
        const Index n = std::min(row_length, op->extent[3] - w);
        const PredictionRow row{slice->volume, slice->c, slice->s, h, w, n};
        row.predict(*op, x0);
#pragma omp simd
        for (Index i = 0; i < n; ++i)
          x0[i] = local.change(x0[i], t);
        row.add(*op, x0);
      }
  }
};

/// Sets sums[slice that counts, 2] of one channel of one volume, `apart` numbers apart.
void sum_slices(const MeanHold& op, Index volume, Index c, float w, double* sums, Index apart,
                int threads) {
  const float t = std::tanh(w);
  for_each(Cpu{threads}, op.counted(), [&](Index s) {
    double* const own = sums + apart * s;
    std::fill(own, own + apart, 0.0);
    const Slice slice{volume, c, s * op.every, t};
    in_best_isa<SumSlice>(&op, &slice, own);
  });
}

/// Newton's method for one channel of one volume.
float find_tilt(const MeanHold& op, Index volume, Index c, int threads) {
  float w = op.tilt[volume * op.extent[0] + c];
  std::vector<double> sums(static_cast<std::size_t>(2 * op.counted()));
  for (int step = 0; step < MeanHold::steps; ++step) {
    sum_slices(op, volume, c, w, sums.data(), 2, threads);
    double sum = 0.0, squares = 0.0;
    for (std::size_t s = 0; s < sums.size(); s += 2) {
      sum += sums[s];
      squares += sums[s + 1];
    }
    w = op.newton(w, op.wanted[c], sum, squares, static_cast<double>(op.count()));
  }
  return MeanHold::on_grid(w);
}

} // namespace

void mean_hold_cpu(const MeanHold& op, int threads) {
  for (Index volume = 0; volume < op.volumes; ++volume)
    for (Index c = 0; c < op.extent[0]; ++c) {
      float& tilt = op.tilt[volume * op.extent[0] + c];
      if (!op.given)
        tilt = find_tilt(op, volume, c, threads);
      const float t = std::tanh(tilt);
      for_each(Cpu{threads}, op.extent[1], [&](Index s) {
        const Slice slice{volume, c, s, t};
        in_best_isa<TiltSlice>(&op, &slice);
      });
    }
}

void mean_hold_sums_cpu(const MeanHold& op, double* sums, Index blocks, int threads) {
  const Index channels = op.extent[0], apart = 2 * blocks;
  for (Index which = 0; which < op.volumes * channels; ++which)
    sum_slices(op, which / channels, which % channels, op.tilt[which],
               sums + which * op.counted() * apart, apart, threads);
}

} // namespace micro3d
