// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/config.hpp" // for M3D_HD, Index

#include <cstdint> // for uint8_t, uintptr_t

namespace micro3d {

/// sum[load, p, q] = sum over the voxels of phase p of component q of their mean strain (three
/// components: 11, 22, 33, 23, 13, 12 with engineering shear) or mean gradient (one: x, y, z), in
/// unit elements (see hex8.hpp), of the periodic field u + u_low. In double precision.
template <class S> struct PhaseStrain {
  const S *u, *u_low; // [loads, components, nz, ny, nx]; u_low may be null
  Index loads, nz, ny, nx;
  int components, phases;
  const std::uint8_t* labels;
  double* sum; // [loads, phases, strains]

  M3D_HD int strains() const { return components == 3 ? 6 : 3; }
  M3D_HD Index voxels() const { return nz * ny * nx; }
  M3D_HD double field(Index i) const {
    return u_low == nullptr ? double(u[i]) : double(u[i]) + double(u_low[i]);
  }

  /// Haar terms x, y, z of component i on voxel (z, y, x): sums of differences over four edges.
  M3D_HD void terms(Index load, int i, Index z, Index y, Index x, double (&g)[3]) const {
    const Index z1 = z + 1 == nz ? 0 : z + 1, y1 = y + 1 == ny ? 0 : y + 1,
                x1 = x + 1 == nx ? 0 : x + 1, base = (load * components + i) * voxels();
    double c[8];
    for (int k = 0; k < 8; ++k)
      c[k] = field(base + ((k & 4 ? z1 : z) * ny + (k & 2 ? y1 : y)) * nx + (k & 1 ? x1 : x));
    g[0] = (c[1] - c[0]) + (c[3] - c[2]) + (c[5] - c[4]) + (c[7] - c[6]);
    g[1] = (c[2] - c[0]) + (c[3] - c[1]) + (c[6] - c[4]) + (c[7] - c[5]);
    g[2] = (c[4] - c[0]) + (c[5] - c[1]) + (c[6] - c[2]) + (c[7] - c[3]);
  }

  /// All components of voxel (z, y, x).
  M3D_HD void strain(Index load, Index z, Index y, Index x, double (&e)[6]) const {
    double g[3][3];
    for (int i = 0; i < 3; ++i) // the compiler unrolls it, so that g is in registers
      if (i < components)
        terms(load, i, z, y, x, g[i]);
    if (components == 1) {
      for (int j = 0; j < 3; ++j)
        e[j] = g[0][j];
      return;
    }
    for (int i = 0; i < 3; ++i)
      e[i] = g[i][i];
    e[3] = g[1][2] + g[2][1];
    e[4] = g[0][2] + g[2][0];
    e[5] = g[0][1] + g[1][0];
  }
};

template <class S> void phase_strain_cpu(const PhaseStrain<S>& op, int threads);
/// `partials`: loads * reduce_partials doubles.
template <class S>
void phase_strain_cuda(const PhaseStrain<S>& op, double* partials, std::uintptr_t stream);

} // namespace micro3d
