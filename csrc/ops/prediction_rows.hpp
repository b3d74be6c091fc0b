// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// Rows of a Prediction on the CPU, in float32.
#include "core/simd.hpp"         // for M3D_BODY
#include "ops/channels_last.hpp" // for Elements
#include "ops/prediction.hpp"    // for Prediction

#include <initializer_list> // for initializer_list

namespace micro3d {

constexpr Index row_length = 256; // voxels that are taken at once

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

/// n <= row_length voxels of a row, of one channel of one volume.
struct PredictionRow {
  Index volume, c, s, h, w, n;

  M3D_BODY void load(const Prediction& op, int role, float* to) const {
    if (op.field[role].present())
      each(op.field[role], op.at(role, volume, c, s, h, w), n,
           [&](Index i, const auto& element) M3D_INLINED { to[i] = element.get(0); });
  }
  M3D_BODY void predict(const Prediction& op, float* x0) const {
    alignas(64) float x[row_length], net[row_length], uncond[row_length] = {};
    load(op, Prediction::X, x);
    load(op, Prediction::Net, net);
    load(op, Prediction::Uncond, uncond);
    const Prediction local = op;
#pragma omp simd
    for (Index i = 0; i < n; ++i)
      x0[i] = local.predicted(x[i], net[i], uncond[i]);
  }
  /// Adds to the network's outputs, whose weights sum to 1.
  M3D_BODY void add(const Prediction& op, const float* change) const {
    for (const int role : {Prediction::Net, Prediction::Uncond})
      if (op.field[role].present())
        each(op.field[role], op.at(role, volume, c, s, h, w), n,
             [&](Index i, auto& element)
                 M3D_INLINED { element.set(0, element.get(0) + change[i]); });
  }
};

} // namespace micro3d
