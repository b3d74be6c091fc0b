// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/divisor.hpp"    // for Divisor
#include "core/elementary.hpp" // for exponential, minus_log
#include "ops/prediction.hpp"  // for Prediction

namespace micro3d {

/// The odds of the predicted x0 times exp(2 w), by the neighbours in a slice and by earlier passes.
///
///   w = sum_a J_a (x0[before] - 2 x0 + x0[after]) + earlier      a: along a row, along a column
///   y = x0 with its odds times exp(2 w)
///   earlier = agreement (earlier + [atanh x0] - [prior + evidence x])    [.] limits to -1 ... 1
///
/// Then (y - x0) / q is added to the network's outputs. All x0 are computed first, because each is
/// read by its neighbours.
struct Coupling : Prediction {
  float* x0;             // scratch [volume, slice, channel, row, column]
  float* earlier;        // the same shape; null: earlier passes do not count
  const float* strength; // J [channel, 2], between rows and between columns
  const float* prior;    // atanh of the mean [volume, channel]; null with `earlier`
  bool periodic[2];      // rows, columns
  float evidence, agreement;

  static constexpr float certain = 1.0f, most = 40.0f;

  /// The difference to both neighbours, `apart` in memory, of element i of n; at an end that is not
  /// periodic the field goes on as it is.
  M3D_HD float bend(const float* at, Index i, Index n, Index apart, bool wraps) const {
    const float own = *at;
    const float before = i > 0 ? at[-apart] : wraps ? at[(n - 1) * apart] : own;
    const float after = i < n - 1 ? at[apart] : wraps ? at[(1 - n) * apart] : own;
    return before + after - 2.0f * own;
  }
  /// What is added to the outputs.
  M3D_HD float change(float x, float w) const {
    const float limited = w < -most ? -most : w > most ? most : w;
    const float odds = exponential(2.0f * limited);
    const float up = 1.0f + x, down = 1.0f - x;
    return up * down * (odds - 1.0f) / (down + up * odds) / q;
  }
  M3D_HD static float limited(float half_log_odds) {
    return half_log_odds < -certain ? -certain : half_log_odds > certain ? certain : half_log_odds;
  }
  /// What later passes add to w.
  M3D_HD float left(float before, float predicted, float x, float prior_of_channel) const {
    const float seen = 0.5f * (minus_log(1.0f - predicted) - minus_log(1.0f + predicted));
    const float own = prior_of_channel + evidence * x;
    return agreement * (before + (limited(seen) - limited(own)));
  }

  M3D_HD Index rows() const { return volumes * extent[1] * extent[0] * extent[2]; }
};

/// Where a row of x0 lies: it is row number ((volume * slices + s) * channels + c) * heights + h.
struct RowIndex {
  Divisor heights, channels, slices;

  explicit RowIndex(const Prediction& op)
      : heights(divisor(op.extent[2])), channels(divisor(op.extent[0])),
        slices(divisor(op.extent[1])) {}
  M3D_HD void split(Index row, Index& volume, Index& s, Index& c, Index& h) const {
    Index left, of_all;
    heights.split(row, left, h);
    channels.split(left, of_all, c);
    slices.split(of_all, volume, s);
  }
};

void coupling_cpu(const Coupling& op, int threads);
void coupling_cuda(const Coupling& op, std::uintptr_t stream);

} // namespace micro3d
