// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/coupling.hpp"

#include "core/for_each.hpp"       // for for_each
#include "core/simd.hpp"           // for in_best_isa
#include "ops/prediction_rows.hpp" // for PredictionRow, row_length

#include <algorithm> // for min

namespace micro3d {

namespace {

/// Calls body(row, its place in x0) for the parts of a row of x0.
template <class Body> M3D_BODY void each_part(const Coupling& op, Index row, const Body& body) {
  PredictionRow part{};
  RowIndex(op).split(row, part.volume, part.s, part.c, part.h);
  const Index columns = op.extent[3];
  for (part.w = 0; part.w < columns; part.w += row_length) {
    part.n = std::min(row_length, columns - part.w);
    body(part, row * columns + part.w);
  }
}

struct PredictRow {
  static M3D_BODY void run(const Coupling* op, Index row) {
    each_part(*op, row, [&](const PredictionRow& part, Index at) M3D_INLINED {
      part.predict(*op, op->x0 + at);
    });
  }
};

struct CoupleRow {
  static M3D_BODY void run(const Coupling* op, Index row) {
    const Coupling local = *op;
    const Index heights = local.extent[2], columns = local.extent[3];
    each_part(*op, row, [&](const PredictionRow& part, Index at) M3D_INLINED {
      alignas(64) float w[row_length], x[row_length];
      const float* const x0 = local.x0 + at;
      const float* const strength = local.strength + 2 * part.c;
      const float between_rows = strength[0], between_columns = strength[1];
      for (Index i = 0; i < part.n; ++i)
        w[i] = between_rows * local.bend(x0 + i, part.h, heights, columns, local.periodic[0]) +
               between_columns * local.bend(x0 + i, part.w + i, columns, 1, local.periodic[1]);
      if (local.earlier != nullptr) {
        part.load(*op, Prediction::X, x);
        float* const earlier = local.earlier + at;
        const float prior = local.prior[part.volume * local.extent[0] + part.c];
#pragma omp simd
        for (Index i = 0; i < part.n; ++i) {
          w[i] += earlier[i];
          earlier[i] = local.left(earlier[i], x0[i], x[i], prior);
        }
      }
#pragma omp simd
      for (Index i = 0; i < part.n; ++i)
        w[i] = local.change(x0[i], w[i]);
      part.add(*op, w);
    });
  }
};

} // namespace

void coupling_cpu(const Coupling& op, int threads) {
  for_each(Cpu{threads}, op.rows(), [&](Index row) { in_best_isa<PredictRow>(&op, row); });
  for_each(Cpu{threads}, op.rows(), [&](Index row) { in_best_isa<CoupleRow>(&op, row); });
}

} // namespace micro3d
