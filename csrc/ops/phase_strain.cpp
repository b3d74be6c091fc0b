// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/phase_strain.hpp"

#include "core/simd.hpp"    // for in_best_isa
#include "core/threads.hpp" // for share, thread_number

#include <algorithm> // for min
#include <vector>    // for vector

namespace micro3d {

namespace {

/// The sums of one plane of voxels, rows first as vectors, then voxel by voxel into their phase.
template <class S> struct PlaneStrain {
  static M3D_BODY void run(const PhaseStrain<S>* given, Index load, Index z, double* sum) {
    const PhaseStrain<S>& op = *given;
    const Index nx = op.nx, ny = op.ny, stride = nx + 1;
    const int n = op.components, strains = op.strains();
    std::vector<double> memory(std::size_t(stride * 3 + nx * 9));
    double *a = memory.data(), *b = a + stride, *c = b + stride, *g = c + stride; // g: [n][3][nx]
    const Index z1 = z + 1 == op.nz ? 0 : z + 1;
    for (Index y = 0; y < ny; ++y) {
      const Index y1 = y + 1 == ny ? 0 : y + 1;
      for (int i = 0; i < n; ++i) {
        const Index base = (load * n + i) * op.voxels();
        const Index rows[4] = {base + (z * ny + y) * nx, base + (z * ny + y1) * nx,
                               base + (z1 * ny + y) * nx, base + (z1 * ny + y1) * nx};
        for (Index x = 0; x < nx; ++x) {
          const double p = op.field(rows[0] + x), q = op.field(rows[1] + x),
                       r = op.field(rows[2] + x), s = op.field(rows[3] + x);
          a[x] = (p + q) + (r + s);
          b[x] = (q - p) + (s - r);
          c[x] = (r - p) + (s - q);
        }
        a[nx] = a[0], b[nx] = b[0], c[nx] = c[0];
        double* to = g + 3 * i * nx;
#pragma omp simd
        for (Index x = 0; x < nx; ++x) {
          to[x] = a[x + 1] - a[x];
          to[nx + x] = b[x + 1] + b[x];
          to[2 * nx + x] = c[x + 1] + c[x];
        }
      }
      const std::uint8_t* label = op.labels + (z * ny + y) * nx;
      if (n == 1) {
        for (Index x = 0; x < nx; ++x)
          for (int q = 0; q < 3; ++q)
            sum[label[x] * 3 + q] += g[q * nx + x];
        continue;
      }
      for (Index x = 0; x < nx; ++x) { // g[3 i + j]: component i along j
        double* s = sum + label[x] * strains;
        s[0] += g[x];
        s[1] += g[4 * nx + x];
        s[2] += g[8 * nx + x];
        s[3] += g[5 * nx + x] + g[7 * nx + x];
        s[4] += g[2 * nx + x] + g[6 * nx + x];
        s[5] += g[1 * nx + x] + g[3 * nx + x];
      }
    }
  }
};

} // namespace

template <class S> void phase_strain_cpu(const PhaseStrain<S>& op, int threads) {
  const std::size_t size = std::size_t(op.phases * op.strains());
  std::vector<double> planes(std::size_t(op.loads * op.nz) * size, 0.0);
  const int team = static_cast<int>(std::min<Index>(
      thread_number(threads), 1 + op.voxels() / 16384)); // waking a thread costs time
  share(op.loads * op.nz, team, [&](Index begin, Index end, int) {
    for (Index i = begin; i < end; ++i)
      in_best_isa<PlaneStrain<S>>(&op, i / op.nz, i % op.nz, planes.data() + std::size_t(i) * size);
  });
  for (Index load = 0; load < op.loads; ++load)
    for (std::size_t k = 0; k < size; ++k) {
      double total = 0.0;
      for (Index z = 0; z < op.nz; ++z)
        total += planes[std::size_t(load * op.nz + z) * size + k];
      op.sum[std::size_t(load) * size + k] = total;
    }
}

template void phase_strain_cpu(const PhaseStrain<float>&, int);
template void phase_strain_cpu(const PhaseStrain<double>&, int);

} // namespace micro3d
