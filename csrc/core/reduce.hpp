// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// Sums that do not depend on the number of threads: partial sums of fixed chunks, added in order.
//
//   struct Body { M3D_HD double operator()(Index load, Index i) const; }; // works, returns a term
//   reduce(Cpu{threads}, loads, n, body, sum);
//   reduce(cuda_on(stream), loads, n, body, sum, partials); // partials: reduce_partials doubles
//
// A body may do once what the elements of a load share: for_load(load) returns a struct that is
// called with i alone. If that has take<W>(i), for elements i ... i + W - 1 with W = 1 or W =
// width, and wide() returns that all pointers allow it, the CUDA loop handles `width` elements at
// once.
#include "core/config.hpp"   // for Index
#include "core/for_each.hpp" // for Cpu, Cuda
#include "core/simd.hpp"     // for in_best_isa

#include <cstdint>     // for uintptr_t
#include <type_traits> // for integral_constant
#include <vector>      // for vector

namespace micro3d {

/// Doubles of scratch space that a reduction on CUDA needs, per load: its largest grid, many times
/// the blocks that run at once, so that the last of them are a small part.
constexpr Index reduce_partials = 4096;

/// W neighbours in memory, moved by one instruction.
template <class T, int W> struct alignas(sizeof(T) * W) Pack {
  T v[W];
};
template <int W, class T> M3D_HD Pack<T, W> take_pack(const T* from) {
  return *reinterpret_cast<const Pack<T, W>*>(from);
}
template <int W, class T> M3D_HD void store_pack(T* to, const Pack<T, W>& values) {
  *reinterpret_cast<Pack<T, W>*>(to) = values;
}
/// Whether n elements a load, from these pointers on, can be moved 16 bytes at a time.
template <class T, class... Pointers> bool moves_wide(Index n, const Pointers*... pointers) {
  return n % Index(16 / sizeof(T)) == 0 &&
         ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

template <class Body> struct OfLoad {
  Body body;
  Index load;
  M3D_HD double operator()(Index i) const { return body(load, i); }
};
template <class Body>
M3D_HD auto for_load(const Body& body, Index load, int) -> decltype(body.for_load(load)) {
  return body.for_load(load);
}
template <class Body> M3D_HD OfLoad<Body> for_load(const Body& body, Index load, long) {
  return {body, load};
}

template <class Body> struct ReduceChunk {
  static M3D_BODY void run(const Body* given, Index load, Index begin, Index end, double* sum) {
    const auto body = for_load(*given, load, 0);
    double s = 0.0;
#pragma omp simd reduction(+ : s)
    for (Index i = begin; i < end; ++i)
      s += body(i);
    *sum = s;
  }
};

template <class Body> void reduce(Cpu cpu, Index loads, Index n, const Body& body, double* sum) {
  constexpr Index chunk = 8192;
  const Index chunks = (n + chunk - 1) / chunk;
  std::vector<double> partial(static_cast<std::size_t>(loads * chunks));
  const Index wanted = thread_number(cpu.threads);
  const int team = static_cast<int>(
      wanted < 1 + chunks / 4 ? wanted : 1 + chunks / 4); // waking a thread costs time
  share(loads * chunks, team, [&](Index begin, Index end, int) {
    for (Index i = begin; i < end; ++i) {
      const Index load = i / chunks, c = i % chunks;
      in_best_isa<ReduceChunk<Body>>(&body, load, c * chunk, c + 1 < chunks ? (c + 1) * chunk : n,
                                     partial.data() + i);
    }
  });
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

/// Run the elements of a thread, W at a time; returns the sum of their terms.
template <int W, class Body> __device__ double run_thread(const Body& given, Index n) {
  const auto body = for_load(given, blockIdx.y, 0);
  const Index step = Index(gridDim.x) * blockDim.x * W;
  double s = 0.0;
  for (Index i = (Index(blockIdx.x) * blockDim.x + threadIdx.x) * W; i < n; i += step) {
    if constexpr (W == 1)
      s += body(i);
    else
      s += body.template take<W>(i);
  }
  return s;
}

/// Runs a body; `partials` may be null.
template <int W, class Body>
__global__ void __launch_bounds__(256)
    reduce_kernel(std::integral_constant<int, W>, Index n, Body body, double* partials) {
  __shared__ double shared[256];
  double s = run_thread<W>(body, n);
  if (partials == nullptr)
    return;
  s = block_sum<256>(s, shared);
  if (threadIdx.x == 0)
    partials[Index(blockIdx.y) * gridDim.x + blockIdx.x] = s;
}

/// Sum `count` partial sums for each block; every `group` of the results are `stride` apart.
static __global__ void __launch_bounds__(256)
    sum_partials(const double* partials, Index count, double* sum, unsigned group = 1,
                 Index stride = 1) {
  __shared__ double shared[256];
  double s = 0.0;
  for (Index i = threadIdx.x; i < count; i += 256)
    s += partials[Index(blockIdx.x) * count + i];
  s = block_sum<256>(s, shared);
  if (threadIdx.x == 0)
    sum[blockIdx.x / group * stride + blockIdx.x % group] = s;
}

template <int W, class Body>
unsigned run_reduce(std::integral_constant<int, W> width, Cuda cuda, Index loads, Index n,
                    const Body& body, double* partials) {
  const Index blocks = (n + 256 * W - 1) / (256 * W);
  const unsigned grid = static_cast<unsigned>(blocks < reduce_partials ? blocks : reduce_partials);
  const dim3 all(grid, static_cast<unsigned>(loads));
  reduce_kernel<<<all, 256, 0, cuda.stream>>>(width, n, body, partials);
  M3D_CUDA_CHECK(cudaGetLastError());
  return grid;
}
template <class Body> // as wide as it can be
auto run_widest(int, Cuda cuda, Index loads, Index n, const Body& body, double* partials)
    -> decltype(body.wide(), unsigned()) {
  if (body.wide())
    return run_reduce(std::integral_constant<int, Body::width>{}, cuda, loads, n, body, partials);
  return run_reduce(std::integral_constant<int, 1>{}, cuda, loads, n, body, partials);
}
template <class Body>
unsigned run_widest(long, Cuda cuda, Index loads, Index n, const Body& body, double* partials) {
  return run_reduce(std::integral_constant<int, 1>{}, cuda, loads, n, body, partials);
}

/// `sum` null: for the work of the body alone.
template <class Body>
void reduce(Cuda cuda, Index loads, Index n, const Body& body, double* sum, double* partials) {
  if (n == 0 || loads == 0)
    return;
  double* const to = sum == nullptr ? nullptr : partials;
  const unsigned grid = run_widest(0, cuda, loads, n, body, to);
  if (sum == nullptr)
    return;
  sum_partials<<<static_cast<unsigned>(loads), 256, 0, cuda.stream>>>(partials, grid, sum);
  M3D_CUDA_CHECK(cudaGetLastError());
}
#endif

} // namespace micro3d
