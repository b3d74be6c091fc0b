// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/reverse_step.hpp"

#include "core/errors.hpp"   // for CudaError
#include "core/for_each.hpp" // for cuda_on

namespace micro3d {

namespace {

template <class Tiles>
__global__ void __launch_bounds__(Tiles::threads) reverse_step_kernel(Tiles tiles) {
  __shared__ float shared[Tiles::shared_floats];
  const auto tile = tiles.tile(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  if constexpr (Tiles::transposes) {
    tiles.load(tile, thread, shared);
    __syncthreads();
  }
  tiles.compute(tile, thread, shared);
  if constexpr (Tiles::transposes) {
    __syncthreads();
    tiles.store(tile, thread, shared);
  }
}

template <bool Noise, bool Columns, class Offset>
void launch(const ReverseStepLayout& layout, cudaStream_t stream) {
  using Tiles = ReverseStepTiles<Noise, Columns, Offset>;
  reverse_step_kernel<<<static_cast<unsigned>(layout.blocks()), Tiles::threads, 0, stream>>>(
      Tiles{layout});
}

template <bool Noise, bool Columns>
void launch(const ReverseStepLayout& layout, cudaStream_t stream) {
  layout.small ? launch<Noise, Columns, std::int32_t>(layout, stream)
               : launch<Noise, Columns, Index>(layout, stream);
}

template <bool Noise> void launch(const ReverseStepLayout& layout, cudaStream_t stream) {
  layout.axes.any_columns ? launch<Noise, true>(layout, stream)
                          : launch<Noise, false>(layout, stream);
}

} // namespace

void reverse_step_cuda(const ReverseStep& op, std::uintptr_t stream) {
  const ReverseStepLayout layout = reverse_step_layout(op);
  const Index blocks = layout.blocks();
  if (blocks == 0)
    return;
  if (blocks > 0x7fffffff)
    throw CudaError("`reverse_step`: the volume has too many tiles for CUDA");
  const cudaStream_t s = cuda_on(stream).stream;
  op.noise != 0.0f ? launch<true>(layout, s) : launch<false>(layout, s);
  M3D_CUDA_CHECK(cudaGetLastError());
}

} // namespace micro3d
