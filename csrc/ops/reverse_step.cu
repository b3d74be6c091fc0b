// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/reverse_step.hpp"

#include "core/errors.hpp"   // for CudaError
#include "core/for_each.hpp" // for cuda_on

namespace micro3d {

namespace {

__global__ void __launch_bounds__(ReverseStepTiles::threads)
    reverse_step_kernel(ReverseStepTiles tiles) {
  __shared__ float shared[ReverseStepTiles::shared_floats];
  const ReverseStepTiles::Tile tile = tiles.tile(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  tiles.load(tile, thread, shared);
  __syncthreads();
  tiles.compute(tile, thread, shared);
  __syncthreads();
  tiles.store(tile, thread, shared);
}

} // namespace

void reverse_step_cuda(const ReverseStep& op, std::uintptr_t stream) {
  const ReverseStepTiles tiles = reverse_step_tiles(op);
  const Index blocks = tiles.blocks();
  if (blocks == 0)
    return;
  if (blocks > 0x7fffffff)
    throw CudaError("`reverse_step`: the volume has too many tiles for CUDA");
  reverse_step_kernel<<<static_cast<unsigned>(blocks), ReverseStepTiles::threads, 0,
                        cuda_on(stream).stream>>>(tiles);
  M3D_CUDA_CHECK(cudaGetLastError());
}

} // namespace micro3d
