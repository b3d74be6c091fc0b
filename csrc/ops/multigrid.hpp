// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/config.hpp" // for M3D_HD, Index

#include <cstdint> // for uint8_t, uintptr_t
#include <vector>  // for vector

namespace micro3d {

// Multigrid for the matrix of ops/seven_point.hpp: one cycle is a symmetric preconditioner
// ----------------------------------------------------------------------------------------
// Cells are joined 2 x 2 x 2; the conductance of a coarse face is the sum over its fine faces,
// halved for each axis that was coarsened (the distance doubles: for a uniform box this is the
// coarse discretization itself). Corrections are piecewise constant. Smoother: Gauss-Seidel, red
// then black going down, black then red coming up, so that the cycle is symmetric. Everything in
// float32.
//
// Fields are padded by one cell on every side and flattened: cell (z, y, x) is number
//   (z + 1) * plane + (y + 1) * row + (x + 1),   row and plane odd,
// so neighbours are at +-1, +-row, +-plane, the colour of a cell is the parity of its number, and a
// sweep is one long loop without borders: padding and insulators have an inverse diagonal of 0 and
// stay 0. Periodic sides keep copies in their padding.

/// One level. Level 0 of a binary image stores no faces: values vanish where nothing conducts, so
/// the neighbours' plain sum is what flows in.
struct PlatesLevel {
  float *x, *b;        // solution and right-hand side, padded
  float* inverse;      // of the diagonal; 0: no cell
  float *gz, *gy, *gx; // conductance of the face to the next cell along z, y, x; null: binary
  Index nz, ny, nx, row, plane;
  float wz, wy, wx; // area / distance (binary)
  bool periodic_y, periodic_x;

  M3D_HD Index first() const { return plane; } // cells lie in first() ... last() - 1
  M3D_HD Index last() const { return (nz + 1) * plane; }
  M3D_HD Index size() const { return (nz + 2) * plane; }
  M3D_HD Index cell(Index z, Index y, Index x_) const {
    return (z + 1) * plane + (y + 1) * row + x_ + 1;
  }

  /// Inflow into cell i from the neighbours' values v.
  template <bool Binary> M3D_HD float inflow(const float* v, Index i) const {
    if (Binary)
      return wz * (v[i - plane] + v[i + plane]) + wy * (v[i - row] + v[i + row]) +
             wx * (v[i - 1] + v[i + 1]);
    return (gz[i - plane] * v[i - plane] + gz[i] * v[i + plane]) +
           (gy[i - row] * v[i - row] + gy[i] * v[i + row]) +
           (gx[i - 1] * v[i - 1] + gx[i] * v[i + 1]);
  }

  /// The smoothed value of cell i; the same for both colours.
  template <bool Binary> M3D_HD float relaxed(Index i) const {
    return (b[i] + inflow<Binary>(x, i)) * inverse[i];
  }
  template <bool Binary> M3D_HD float residual(Index i) const {
    return inverse[i] > 0.0f ? b[i] + inflow<Binary>(x, i) - x[i] / inverse[i] : 0.0f;
  }
};

/// All levels, in one buffer of floats. Level 0 borrows x and b from the call.
struct PlatesHierarchy {
  std::vector<PlatesLevel> levels;
  Index floats; // of the buffer

  PlatesHierarchy(Index nz, Index ny, Index nx, bool binary, const float (&weights)[3],
                  const bool (&periodic)[2], float* buffer);
};

/// Fills a buffer on the host. codes: [nz, ny, nx] into conductivity (0: takes no part), as for
/// SevenPoint; the plates are half a cell beyond the ends of axis z.
void multigrid_setup(const PlatesHierarchy& h, const std::uint8_t* codes,
                     const double* conductivity, const double (&weights)[3]);

/// z = M r by one cycle from zero (`visits` = 1: V, 2: W) on padded fields; rz[0] = r.z.
void multigrid_cycle_cpu(const PlatesHierarchy& h, float* z, const float* r, int visits, double* rz,
                         int threads);
void multigrid_cycle_cuda(const PlatesHierarchy& h, float* z, const float* r, int visits,
                          double* rz, double* partials, std::uintptr_t stream);

// ---------------------------------------------------------------------------------- the schedule

/// One visit of a level; Walk knows how to run its parts on its backend:
///   down(level, coarse, from_zero)  red, black, then the residual to coarse.b
///   up(coarse, level)               add coarse.x, then black, red
///   smooth(level, colour), first(level): a half sweep; red from zero
template <class Walk>
void multigrid_visit(const PlatesHierarchy& h, std::size_t depth, int visits, bool from_zero,
                     const Walk& walk) {
  const PlatesLevel& level = h.levels[depth];
  if (depth + 1 == h.levels.size()) { // a handful of cells: symmetric sweeps
    constexpr int sweeps = 4;
    for (int s = 0; s < sweeps; ++s) {
      if (from_zero && s == 0)
        walk.first(level);
      else
        walk.smooth(level, 0);
      walk.smooth(level, 1);
    }
    for (int s = 0; s < sweeps; ++s) {
      walk.smooth(level, 1);
      walk.smooth(level, 0);
    }
    return;
  }
  walk.down(level, h.levels[depth + 1], from_zero);
  for (int v = 0; v < visits; ++v)
    multigrid_visit(h, depth + 1, visits, v == 0, walk);
  walk.up(h.levels[depth + 1], level);
}

} // namespace micro3d
