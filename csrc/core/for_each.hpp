// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// How an operator is written
// --------------------------
// The math of one output element is written once, in csrc/ops/<op>.hpp, as a plain struct of
// pointers, strides and numbers (no Python, no allocation, no #ifdef __CUDA_ARCH__ in the body):
//
//   struct Scale {
//     const float* in; float* out; float factor;
//     M3D_HD float value(float x) const { return factor * x; }
//     M3D_HD void operator()(Index i) const { out[i] = value(in[i]); }
//   };
//   void scale_cpu(Index n, const Scale& op, int threads);
//   void scale_cuda(Index n, const Scale& op, std::uintptr_t stream);
//
// and looped over twice. The two entry points have two names, never one overloaded name:
//
//   scale.cpp       void scale_cpu(...)  { for_each(Cpu{threads}, n, op); }
//   scale.cu        void scale_cuda(...) { for_each(cuda_on(stream), n, op); }
//   no_cuda.cpp     void scale_cuda(...) { absent("scale"); }     // built INSTEAD of the .cu files
//   bindings/scale.cpp   checks the arrays, fills the struct, releases the GIL, calls one of them
//
// A tuned loop (cache-blocked, SIMD, shared-memory tile, warp ballot) replaces either loop below
// where that matters, and still calls value(). A tuned CUDA loop is best written as phases between
// barriers, M3D_HD functors of (block, thread) with the shared memory passed as an argument:
//
//   phase_1(block, thread, shared); __syncthreads(); phase_2(block, thread, shared);
//
// Without a GPU the kernels are tested by tests/emulated_cuda, which runs the .cu files on the
// host.
//
// Rules: results do not depend on the number of threads. Launch on the caller's stream, check every
// launch (M3D_CUDA_CHECK), never synchronise, never cudaMalloc: scratch space comes from Python.
#include "core/config.hpp"  // for Index
#include "core/threads.hpp" // for share, thread_number

#ifdef __CUDACC__
#include "core/cuda_check.hpp" // for M3D_CUDA_CHECK
#endif

namespace micro3d {

struct Cpu {
  int threads; // 0: see thread_number()
};

template <class Body> void for_each(Cpu cpu, Index n, const Body& body) {
  share(n, thread_number(cpu.threads), [&body](Index begin, Index end, int) {
    const Body own = body; // its numbers in registers
    for (Index i = begin; i < end; ++i)
      own(i);
  });
}

#ifdef __CUDACC__
struct Cuda {
  cudaStream_t stream;
};

inline Cuda cuda_on(std::uintptr_t stream) { return {reinterpret_cast<cudaStream_t>(stream)}; }

/// Enough blocks to fill any GPU; the kernels stride over the rest.
inline unsigned grid_for(Index n, unsigned block = 256) {
  const Index blocks = (n + block - 1) / block;
  return static_cast<unsigned>(blocks < 65535 ? blocks : 65535);
}

template <class Body> __global__ void __launch_bounds__(256) for_each_kernel(Index n, Body body) {
  const Index step = Index(gridDim.x) * blockDim.x; // grid-stride: any n, any grid
  for (Index i = Index(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step)
    body(i);
}

template <class Body> void for_each(Cuda cuda, Index n, Body body) {
  if (n == 0)
    return; // an empty grid is a launch error
  for_each_kernel<<<grid_for(n), 256, 0, cuda.stream>>>(n, body);
  M3D_CUDA_CHECK(cudaGetLastError());
}
#endif

} // namespace micro3d
