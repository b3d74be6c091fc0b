// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// Sums that do not depend on the number of threads: partial sums of fixed chunks, added in order.
//
//   struct Body { M3D_HD double operator()(Index load, Index i) const; };  // works and returns a
//   term reduce(Cpu{threads}, loads, n, body, sum); reduce(cuda_on(stream), loads, n, body, sum,
//   partials);   // partials: reduce_partials doubles
#include "core/config.hpp"   // for Index
#include "core/for_each.hpp" // for Cpu, Cuda
#include "core/simd.hpp"     // for in_best_isa

#include <vector> // for vector

namespace micro3d {

/// Doubles of scratch space that a reduction on CUDA needs, per load.
constexpr Index reduce_partials = 1024;

template <class Body> struct ReduceChunk {
  static M3D_BODY void run(const Body* given, Index load, Index begin, Index end, double* sum) {
    const Body body = *given;
    double s = 0.0;
#pragma omp simd reduction(+ : s)
    for (Index i = begin; i < end; ++i)
      s += body(load, i);
    *sum = s;
  }
};

template <class Body> void reduce(Cpu cpu, Index loads, Index n, const Body& body, double* sum) {
  constexpr Index chunk = 8192;
  const Index chunks = (n + chunk - 1) / chunk;
  std::vector<double> partial(static_cast<std::size_t>(loads * chunks));
  [[maybe_unused]] const Index wanted = omp_threads(cpu.threads);
  [[maybe_unused]] const int team = static_cast<int>(
      wanted < 1 + chunks / 4 ? wanted : 1 + chunks / 4); // starting a thread costs time
#pragma omp parallel for schedule(static) collapse(2) num_threads(team)
  for (Index load = 0; load < loads; ++load)
    for (Index c = 0; c < chunks; ++c)
      in_best_isa<ReduceChunk<Body>>(&body, load, c * chunk, c + 1 < chunks ? (c + 1) * chunk : n,
                                     partial.data() + load * chunks + c);
  if (sum == nullptr)
    return;
  for (Index load = 0; load < loads; ++load) {
    double s = 0.0;
    for (Index c = 0; c < chunks; ++c)
      s += partial[static_cast<std::size_t>(load * chunks + c)];
    sum[load] = s;
  }
}

#ifdef __CUDACC__
/// Sum over the block, in a fixed order; the result is right in thread 0.
template <int Threads> __device__ inline double block_sum(double value, double* shared) {
  shared[threadIdx.x] = value;
  __syncthreads();
  for (int half = Threads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half)
      shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  return shared[0];
}

template <class Body>
__global__ void __launch_bounds__(256) reduce_kernel(Index n, Body body, double* partials) {
  __shared__ double shared[256];
  const Index load = blockIdx.y, step = Index(gridDim.x) * blockDim.x;
  double s = 0.0;
  for (Index i = Index(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step)
    s += body(load, i);
  s = block_sum<256>(s, shared);
  if (threadIdx.x == 0)
    partials[load * gridDim.x + blockIdx.x] = s;
}

static __global__ void __launch_bounds__(256)
    sum_partials(const double* partials, Index count, double* sum) {
  __shared__ double shared[256];
  double s = 0.0;
  for (Index i = threadIdx.x; i < count; i += 256)
    s += partials[Index(blockIdx.x) * count + i];
  s = block_sum<256>(s, shared);
  if (threadIdx.x == 0)
    sum[blockIdx.x] = s;
}

template <class Body>
void reduce(Cuda cuda, Index loads, Index n, const Body& body, double* sum, double* partials) {
  const Index blocks = (n + 255) / 256;
  const unsigned grid = static_cast<unsigned>(blocks < reduce_partials ? blocks : reduce_partials);
  if (n == 0 || loads == 0)
    return;
  reduce_kernel<<<dim3(grid, static_cast<unsigned>(loads)), 256, 0, cuda.stream>>>(n, body,
                                                                                   partials);
  M3D_CUDA_CHECK(cudaGetLastError());
  if (sum == nullptr)
    return;
  sum_partials<<<static_cast<unsigned>(loads), 256, 0, cuda.stream>>>(partials, grid, sum);
  M3D_CUDA_CHECK(cudaGetLastError());
}
#endif

} // namespace micro3d
