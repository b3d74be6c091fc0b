// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "ops/reverse_step.hpp" // for Field

namespace micro3d {

/// What the network predicts for noisy volumes, given as slices of one plane.
///
///   e  = guidance * net + (1 - guidance) * net_uncond
///   x0 = clamp(p x + q e, -0.999, 0.999)
///
/// Data are -1 or +1, so (1 + x0) / 2 is a probability; the limit keeps its odds finite.
struct Prediction {
  enum Role { X, Net, Uncond, roles };
  Field field[roles]; // of one volume; axes channel, slice, row, column
  Index volume_stride[roles];
  Index volumes, extent[4];
  float p, q, guidance, unguided;

  static constexpr float limit = 0.999f;
  M3D_HD float predicted(float x, float net, float uncond) const {
    if (field[Uncond].present())
      net = guidance * net + unguided * uncond;
    const float x0 = p * x + q * net;
    return x0 < -limit ? -limit : x0 > limit ? limit : x0;
  }
  M3D_HD Index at(int role, Index volume, Index c, Index s, Index h, Index w) const {
    const Index* stride = field[role].stride;
    return volume * volume_stride[role] + c * stride[0] + s * stride[1] + h * stride[2] +
           w * stride[3];
  }
};

} // namespace micro3d
