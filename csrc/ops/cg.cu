// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/cg.hpp"

#include "core/for_each.hpp" // for cuda_on, grid_for
#include "core/reduce.hpp"   // for reduce

namespace micro3d {

namespace {

/// Runs a body of (load, i) whose sum is not needed.
template <class Op> __global__ void __launch_bounds__(256) each_load_kernel(Index n, Op op) {
  const Index step = Index(gridDim.x) * blockDim.x;
  for (Index i = Index(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step)
    (void)op(blockIdx.y, i);
}

template <class Op> void each_load(Cuda cuda, Index loads, Index n, const Op& op) {
  if (loads == 0 || n == 0)
    return;
  each_load_kernel<<<dim3(grid_for(n), static_cast<unsigned>(loads)), 256, 0, cuda.stream>>>(n, op);
  M3D_CUDA_CHECK(cudaGetLastError());
}

} // namespace

template <class T>
void cg_update_cuda(Index loads, const CgUpdate<T>& op, double* rr, double* partials,
                    std::uintptr_t stream) {
  reduce(cuda_on(stream), loads, op.n, op, rr, partials);
}
template <class T>
void cg_direction_cuda(Index loads, const CgDirection<T>& op, std::uintptr_t stream) {
  each_load(cuda_on(stream), loads, op.n, op);
}
void two_sum_cuda(Index n, const TwoSum& op, std::uintptr_t stream) {
  each_load(cuda_on(stream), 1, n, op);
}
template <class T>
void dot_cuda(Index loads, const Dot<T>& op, double* sum, double* partials, std::uintptr_t stream) {
  reduce(cuda_on(stream), loads, op.n, op, sum, partials);
}

template void cg_update_cuda(Index, const CgUpdate<float>&, double*, double*, std::uintptr_t);
template void cg_update_cuda(Index, const CgUpdate<double>&, double*, double*, std::uintptr_t);
template void cg_direction_cuda(Index, const CgDirection<float>&, std::uintptr_t);
template void cg_direction_cuda(Index, const CgDirection<double>&, std::uintptr_t);
template void dot_cuda(Index, const Dot<float>&, double*, double*, std::uintptr_t);
template void dot_cuda(Index, const Dot<double>&, double*, double*, std::uintptr_t);

} // namespace micro3d
