// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/divisor.hpp"   // for Divisor
#include "ops/prediction.hpp" // for Prediction

#include <cmath> // for rint, tanh

namespace micro3d {

/// Prior odds of each volume's channels under which the mean of the predicted x0 is the wanted one.
///
///   y  = (x0 + t) / (1 + x0 t), t = tanh(w)          mean of y over the part = the wanted mean
///
/// Four damped steps of Newton's method find w, which is then rounded to a grid: so the order of a
/// sum hardly matters. Then (y - x0) / q is added to the network's outputs of all voxels.
/// Volumes that are cut into slabs need two calls instead: one sums y and y^2 over the part, for
/// the sums of all slabs and the caller's own step; one takes w as given.
struct MeanHold : Prediction {
  Index part[3], every; // of slices, rows, columns that the mean is taken over; each every-th slice
  const float* wanted;  // [channel]
  float* tilt;          // w [volume, channel], from call to call
  bool given;           // w is not searched

  static constexpr int steps = 4;
  static constexpr float grid = 4096.0f;
  M3D_HD float tilted(float x0, float t) const { return (x0 + t) / (1.0f + x0 * t); }
  /// What is added to the outputs.
  M3D_HD float change(float x0, float t) const { return (tilted(x0, t) - x0) / q; }

  /// A step from the sums of y and y^2 over n voxels.
  M3D_HD float newton(float w, float wanted_mean, double sum, double squares, double n) const {
    const double slope = 1.0 - squares / n;
    const double step = (wanted_mean - sum / n) / (slope < 1e-3 ? 1e-3 : slope);
    return w + static_cast<float>(step < -0.5 ? -0.5 : step > 0.5 ? 0.5 : step);
  }
  M3D_HD static float on_grid(float w) { return rintf(w * grid) / grid; }

  M3D_HD Index counted() const { return (part[0] + every - 1) / every; } // slices
  M3D_HD Index count() const { return counted() * part[1] * part[2]; }
};

/// Blocks that sum one channel of a volume on CUDA, at most.
constexpr int mean_hold_blocks = 256;
/// Scratch memory for a channel of a volume: sums and sums of squares of two steps, w of each step.
constexpr int mean_hold_scratch = 4 * mean_hold_blocks + MeanHold::steps;

void mean_hold_cpu(const MeanHold& op, int threads);
/// `scratch`: volumes * channels * mean_hold_scratch.
void mean_hold_cuda(const MeanHold& op, double* scratch, std::uintptr_t stream);

/// Sets sums[volume, channel, slice that counts, block, 2] to the sums of y and y^2 under op.tilt;
/// their sum over the blocks of a slice depends on nothing but the slice.
void mean_hold_sums_cpu(const MeanHold& op, double* sums, Index blocks, int threads);
void mean_hold_sums_cuda(const MeanHold& op, double* sums, Index blocks, std::uintptr_t stream);

} // namespace micro3d
