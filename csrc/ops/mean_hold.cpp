// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/mean_hold.hpp"

#include "core/for_each.hpp"     // for for_each
#include "core/simd.hpp"         // for in_best_isa
#include "ops/channels_last.hpp" // for Elements

#include <algorithm> // for fill, min
#include <vector>    // for vector

namespace micro3d {

namespace {

constexpr Index most = 256; // voxels of a row that are taken at once

/// Calls body(i, element) for n elements of a row.
template <Element E, class Body>
M3D_BODY void each_of(const Field& f, Index at, Index n, const Body& body) {
  auto* const row = static_cast<Elements<E, 1>*>(f.data) + at;
  const Index stride = f.stride[3];
  if (stride == 1) {
#pragma omp simd
    for (Index i = 0; i < n; ++i)
      body(i, row[i]);
  } else {
    for (Index i = 0; i < n; ++i)
      body(i, row[i * stride]);
  }
}
template <class Body> M3D_BODY void each(const Field& f, Index at, Index n, const Body& body) {
  if (f.element == Element::f32)
    each_of<Element::f32>(f, at, n, body);
  else if (f.element == Element::bf16)
    each_of<Element::bf16>(f, at, n, body);
  else
    each_of<Element::f16>(f, at, n, body);
}

/// A slice of one channel of one volume under a w: sums over its part, or the change of all of it.
struct Slice {
  Index volume, c, s;
  float t; // tanh w

  M3D_BODY void predict(const MeanHold& op, Index h, Index w, Index n, float* x0) const {
    alignas(64) float x[most], net[most], uncond[most] = {};
    const auto row = [&](int role, float* to) M3D_INLINED {
      if (op.field[role].present())
        each(op.field[role], op.at(role, volume, c, s, h, w), n,
             [&](Index i, const auto& element) M3D_INLINED { to[i] = element.get(0); });
    };
    row(MeanHold::X, x);
    row(MeanHold::Net, net);
    row(MeanHold::Uncond, uncond);
    const MeanHold local = op;
#pragma omp simd
    for (Index i = 0; i < n; ++i)
      x0[i] = local.predicted(x[i], net[i], uncond[i]);
  }
};

struct SumSlice {
  static M3D_BODY void run(const MeanHold* op, const Slice* slice, double* sums) {
    alignas(64) float x0[most];
    const float t = slice->t;
    for (Index h = 0; h < op->part[1]; ++h)
      for (Index w = 0; w < op->part[2]; w += most) {
        const Index n = std::min(most, op->part[2] - w);
        slice->predict(*op, h, w, n, x0);
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
    alignas(64) float x0[most];
    const float t = slice->t;
    const MeanHold local = *op;
    for (Index h = 0; h < op->extent[2]; ++h)
      for (Index w = 0; w < op->extent[3]; w += most) {
        const Index n = std::min(most, op->extent[3] - w);
        slice->predict(*op, h, w, n, x0);
#pragma omp simd
        for (Index i = 0; i < n; ++i)
          x0[i] = local.change(x0[i], t);
        for (const int role : {MeanHold::Net, MeanHold::Uncond})
          if (op->field[role].present())
            each(op->field[role], op->at(role, slice->volume, slice->c, slice->s, h, w), n,
                 [&](Index i, auto& element)
                     M3D_INLINED { element.set(0, element.get(0) + x0[i]); });
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
