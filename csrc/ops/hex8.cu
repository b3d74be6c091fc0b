// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/hex8.hpp"

#include "core/for_each.hpp" // for cuda_on
#include "core/reduce.hpp"   // for block_sum, sum_partials

namespace micro3d {

namespace {

template <class Model, class S, class T>
__global__ void __launch_bounds__(256) hex8_kernel(Hex8Tile<Model, S, T> tile, double* partials) {
  using Tile = Hex8Tile<Model, S, T>;
  __shared__ double raw[(Tile::shared_values * sizeof(T) + 7) / 8];
  T* const shared = reinterpret_cast<T*>(raw);
  const int thread = static_cast<int>(threadIdx.x);
  typename Tile::Thread state;
  tile.begin(blockIdx.x, thread, state);
  for (Index layer = state.z0 - 1; layer < state.z1; ++layer) {
    tile.element(layer, thread, state, shared);
    __syncthreads();
    tile.gather(layer, thread, state, shared);
    __syncthreads();
  }
  if (tile.op.dot_kind == Hex8Dot::none)
    return;
  const double sum = block_sum<Tile::threads>(state.dot, raw);
  if (thread == 0)
    partials[blockIdx.x] = sum;
}

template <class Model, class S, class T>
void launch(const Hex8<S, T>& op, double* partials, std::uintptr_t stream) {
  auto tile = hex8_tile<Model>(op);
  while (tile.blocks() > hex8_partials && tile.chunk < op.nz) { // longer columns, fewer blocks
    tile.chunk *= 2;
    tile.chunks = (op.nz + tile.chunk - 1) / tile.chunk;
  }
  if (op.voxels() == 0 || op.loads == 0)
    return;
  if (op.dot_kind != Hex8Dot::none && tile.blocks() > hex8_partials)
    throw CudaError("`hex8` needs more than 2^20 blocks of columns of voxels");
  const cudaStream_t s = cuda_on(stream).stream;
  hex8_kernel<<<static_cast<unsigned>(tile.blocks()), 256, 0, s>>>(tile, partials);
  M3D_CUDA_CHECK(cudaGetLastError());
  if (op.dot_kind == Hex8Dot::none)
    return;
  sum_partials<<<static_cast<unsigned>(op.loads), 256, 0, s>>>(partials, tile.blocks() / op.loads,
                                                               op.dot);
  M3D_CUDA_CHECK(cudaGetLastError());
}

} // namespace

template <class S, class T>
void hex8_cuda(const Hex8<S, T>& op, int model, double* partials, std::uintptr_t stream) {
  with_model<T>(model, [&](auto m) { launch<decltype(m)>(op, partials, stream); });
}

template void hex8_cuda(const Hex8<float, float>&, int, double*, std::uintptr_t);
template void hex8_cuda(const Hex8<float, double>&, int, double*, std::uintptr_t);
template void hex8_cuda(const Hex8<double, double>&, int, double*, std::uintptr_t);

} // namespace micro3d
