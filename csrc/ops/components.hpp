// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/config.hpp"  // for M3D_HD, Index
#include "core/divisor.hpp" // for BoxIndex

#include <cstdint> // for uint8_t

namespace micro3d {

/// Components of voxels that are connected by faces, by union-find in four passes over all voxels:
/// point to a neighbour, flatten, unite with the other neighbours, flatten.
///
/// D. P. Playne and K. Hawick, IEEE Trans. Parallel Distrib. Syst.
/// 29, 1217 (2018). Parents have smaller numbers than their children, so the root of a component is
/// its first voxel, in any order of threads.
///
/// Memory supplies load(p), and min(p, value), which returns the value before; both atomic on CUDA.
struct Components {
  const std::uint8_t* mask; // [nz, ny, nx]; fewer than 2^31 voxels
  std::int32_t* parent;     // [nz, ny, nx]; -1: outside the mask
  Index nz, ny, nx;
  bool periodic_z, periodic_y, periodic_x;
  BoxIndex box;

  M3D_HD bool in(Index i) const { return mask[i] != 0; }

  M3D_HD void point(Index i) const {
    Index z, y, x, to = -1;
    box.split(i, z, y, x);
    if (in(i))
      to = z > 0 && in(i - ny * nx) ? i - ny * nx
           : y > 0 && in(i - nx)    ? i - nx
           : x > 0 && in(i - 1)     ? i - 1
                                    : i;
    parent[i] = static_cast<std::int32_t>(to);
  }

  template <class Memory> M3D_HD std::int32_t root(std::int32_t i, const Memory& memory) const {
    for (std::int32_t up = memory.load(parent + i); up != i; up = memory.load(parent + i))
      i = up;
    return i;
  }

  template <class Memory> M3D_HD void flatten(Index i, const Memory& memory) const {
    if (in(i))
      memory.min(parent + i, root(static_cast<std::int32_t>(i), memory));
  }

  template <class Memory> M3D_HD void join(Index i, Index j, const Memory& memory) const {
    std::int32_t a = static_cast<std::int32_t>(i), b = static_cast<std::int32_t>(j);
    for (;;) {
      a = root(a, memory);
      b = root(b, memory);
      if (a == b)
        return;
      if (a < b) {
        const std::int32_t t = a;
        a = b;
        b = t;
      }
      const std::int32_t before = memory.min(parent + a, b);
      if (before == a)
        return;
      a = before; // no root any more: its parent must be united with b, too
    }
  }

  /// Unites a voxel with those neighbours that point() left out. A face is not needed if the other
  /// three of a square of voxels are there.
  template <class Memory> M3D_HD void unite(Index i, const Memory& memory) const {
    if (!in(i))
      return;
    Index z, y, x;
    box.split(i, z, y, x);
    const Index row = nx, plane = ny * nx;
    const bool below = z > 0 && in(i - plane), before = y > 0 && in(i - row);
    if (below && before && !in(i - row - plane))
      join(i, i - row, memory);
    if ((below || before) && x > 0 && in(i - 1) && !(below && in(i - 1 - plane)) &&
        !(before && in(i - 1 - row)))
      join(i, i - 1, memory);
    if (periodic_z && z == 0 && in(i + (nz - 1) * plane))
      join(i, i + (nz - 1) * plane, memory);
    if (periodic_y && y == 0 && in(i + (ny - 1) * row))
      join(i, i + (ny - 1) * row, memory);
    if (periodic_x && x == 0 && in(i + nx - 1))
      join(i, i + nx - 1, memory);
  }
};

void components_cpu(const Components& op);                         // components.cpp
void components_cuda(const Components& op, std::uintptr_t stream); // components.cu

} // namespace micro3d
