// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/phase_strain.hpp"

#include "core/divisor.hpp"  // for BoxIndex
#include "core/for_each.hpp" // for cuda_on
#include "core/reduce.hpp"   // for block_sum, sum_partials

namespace micro3d {

namespace {

constexpr Index most_blocks = reduce_partials / 6;

/// The sums of one phase over the voxels of a block, all components at once.
template <class S>
__global__ void __launch_bounds__(256)
    phase_kernel(PhaseStrain<S> op, BoxIndex box, int phase, double* partials) {
  __shared__ double shared[256];
  const Index load = blockIdx.y, n = op.voxels(), step = Index(gridDim.x) * blockDim.x;
  double s[6] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
  for (Index i = Index(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
    if (op.labels[i] != phase)
      continue;
    Index z, y, x;
    box.split(i, z, y, x);
    double e[6] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
    op.strain(load, z, y, x, e);
    for (int q = 0; q < 6; ++q)
      s[q] += e[q];
  }
#pragma unroll
  for (int q = 0; q < 6; ++q) {
    if (q >= op.strains())
      break;
    const double sum = block_sum<256>(s[q], shared);
    if (threadIdx.x == 0)
      partials[(load * op.strains() + q) * gridDim.x + blockIdx.x] = sum;
    __syncthreads(); // before `shared` is written again
  }
}

} // namespace

/// One walk over the field for each phase, once per solve.
template <class S>
void phase_strain_cuda(const PhaseStrain<S>& op, double* partials, std::uintptr_t stream) {
  if (op.voxels() == 0 || op.loads == 0)
    return;
  const cudaStream_t on = cuda_on(stream).stream;
  const Index blocks = (op.voxels() + 255) / 256;
  const unsigned grid = static_cast<unsigned>(blocks < most_blocks ? blocks : most_blocks);
  const BoxIndex box = box_index(op.ny, op.nx);
  const unsigned loads = static_cast<unsigned>(op.loads), strains = unsigned(op.strains());
  for (int p = 0; p < op.phases; ++p) {
    phase_kernel<<<dim3(grid, loads), 256, 0, on>>>(op, box, p, partials);
    M3D_CUDA_CHECK(cudaGetLastError());
    sum_partials<<<loads * strains, 256, 0, on>>>(partials, grid, op.sum + p * strains, strains,
                                                  Index(op.phases) * strains);
    M3D_CUDA_CHECK(cudaGetLastError());
  }
}

template void phase_strain_cuda(const PhaseStrain<float>&, double*, std::uintptr_t);
template void phase_strain_cuda(const PhaseStrain<double>&, double*, std::uintptr_t);

} // namespace micro3d
