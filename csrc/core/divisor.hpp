// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// GPUs have no instruction for integer division. Division by a number that is known beforehand is a
// multiplication and a shift: T. Granlund and P. L. Montgomery, "Division by invariant integers
// using multiplication", PLDI 1994.
#include "core/config.hpp" // for M3D_HD, Index

#include <cstdint> // for uint32_t

namespace micro3d {

/// Quotient and remainder by a fixed positive number; fast below 2^31, correct for all.
struct Divisor {
  Index by;
  std::uint32_t magic; // floor(2^(31 + bits) / by) + 1; 0: divide
  int bits;            // ceil(log2 by)

  M3D_HD void split(Index n, Index& quotient, Index& remainder) const {
    if (magic != 0 && n < (Index(1) << 31))
      quotient = static_cast<Index>((static_cast<std::uint64_t>(n) * magic) >> (31 + bits));
    else
      quotient = n / by;
    remainder = n - quotient * by;
  }
  /// The same of n, by < 2^31: a few instructions, run once per warp if n is the number of the
  /// block.
  M3D_HD void split32(std::uint32_t n, std::uint32_t& quotient, std::uint32_t& remainder) const {
    quotient = static_cast<std::uint32_t>((static_cast<std::uint64_t>(n) * magic) >> (31 + bits));
    remainder = n - quotient * static_cast<std::uint32_t>(by);
  }
};

inline Divisor divisor(Index by) {
  Divisor d{by, 0, 0};
  if (by < 1 || by >= Index(1) << 31)
    return d;
  while ((Index(1) << d.bits) < by)
    ++d.bits;
  const std::uint64_t power = std::uint64_t(1) << (31 + d.bits);
  d.magic = static_cast<std::uint32_t>(power / static_cast<std::uint64_t>(by) + 1);
  return d;
}

/// Splits the index of a voxel of a box into (z, y, x).
struct BoxIndex {
  Divisor nx, ny;

  M3D_HD void split(Index i, Index& z, Index& y, Index& x) const {
    Index row;
    nx.split(i, row, x);
    ny.split(row, z, y);
  }
};
inline BoxIndex box_index(Index ny, Index nx) { return {divisor(nx), divisor(ny)}; }

} // namespace micro3d
