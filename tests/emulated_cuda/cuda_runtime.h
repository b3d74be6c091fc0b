// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// The part of CUDA that csrc/ uses, on the host, for tests alone: see README.md beside this file.
//
// Found in place of NVIDIA's header by the copies of the .cu files that translate.py makes. What is
// not here does not compile: nothing is emulated by accident.
#include <cmath>   // for sqrtf, which nvcc knows without asking
#include <cstddef> // for size_t
#include <cstdint>
#include <cstring> // for uint64_t
#include <memory>  // for shared_ptr
#include <tuple>   // for tuple, apply
#include <type_traits>
#include <utility> // for move

// ------------------------------------------------------------------------------------ the language

#define __host__
#define __device__
#define __global__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...) // read by translate.py

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

extern uint3 threadIdx, blockIdx; // of the one thread that runs
extern dim3 blockDim, gridDim;

// ------------------------------------------------------------------------------- the runtime
// library

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorInvalidResourceHandle = 400,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchOutOfResources = 701,
  cudaErrorLaunchFailure = 719,
};
using cudaStream_t = struct CUstream_st*;
struct cudaDeviceProp {
  char name[256];
  int major, minor;
};

cudaError_t cudaGetLastError(); // and clears it; each host thread has its own
const char* cudaGetErrorString(cudaError_t);
cudaError_t cudaGetDeviceCount(int*);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int device);
cudaError_t cudaGetDevice(int*);
cudaError_t cudaSetDevice(int);
cudaError_t cudaRuntimeGetVersion(int*);

// -------------------------------------------------------------------------------- inside of
// kernels

namespace emulated_cuda {

/// A line of a kernel, for messages and to tell one barrier from another.
struct Site {
  const char* file;
  int line;
};

void barrier(Site);
enum class WarpOp : unsigned char { any, shuffle_down };
std::uint64_t warp(WarpOp, unsigned mask, std::uint64_t value, unsigned delta, Site);
void* shared_array(std::size_t bytes, std::size_t alignment, Site);
void* dynamic_shared_array(std::size_t alignment, Site);
void before_atomic(const void* at, unsigned bytes); // where other threads may come in between

} // namespace emulated_cuda

#define M3D_EMULATED_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(M3D_EMULATED_SITE) { emulated_cuda::barrier({file, line}); }

inline int __any_sync(unsigned mask, int predicate, M3D_EMULATED_SITE) {
  return static_cast<int>(
      emulated_cuda::warp(emulated_cuda::WarpOp::any, mask, predicate != 0, 0, {file, line}));
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, M3D_EMULATED_SITE) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = emulated_cuda::warp(emulated_cuda::WarpOp::shuffle_down, mask, bits, delta, {file, line});
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }

namespace emulated_cuda {

template <class T> __attribute__((no_sanitize("thread"), noinline)) T atomic_add(T* at, T value) {
  before_atomic(at, sizeof(T));
  const T old = *at;
  *at = static_cast<T>(static_cast<std::make_unsigned_t<T>>(old) +
                       static_cast<std::make_unsigned_t<T>>(value)); // wraps
  return old;
}
template <class T> __attribute__((no_sanitize("thread"), noinline)) T atomic_min(T* at, T value) {
  before_atomic(at, sizeof(T));
  const T old = *at;
  *at = value < old ? value : old;
  return old;
}
template <class T> __attribute__((no_sanitize("thread"), noinline)) T atomic_load(const T* at) {
  before_atomic(at, sizeof(T));
  return *at;
}

} // namespace emulated_cuda

/// From the cache that all blocks share: may read what atomics write.
inline int __ldcg(const int* at) { return emulated_cuda::atomic_load(at); }
inline int atomicMin(int* at, int value) { return emulated_cuda::atomic_min(at, value); }
inline int atomicAdd(int* at, int value) { return emulated_cuda::atomic_add(at, value); }
inline unsigned atomicAdd(unsigned* at, unsigned value) {
  return emulated_cuda::atomic_add(at, value);
}
inline unsigned long long atomicAdd(unsigned long long* at, unsigned long long value) {
  return emulated_cuda::atomic_add(at, value);
}

// ----------------------------------------------------------------------- what translate.py writes

namespace emulated_cuda {

/// One launch, arguments and all; copies share them.
struct Work {
  const char* kernel;
  Site site;
  dim3 grid, block;
  std::size_t shared;
  cudaStream_t stream;
  int device;
  void (*thread)(const void*); // runs one thread of the kernel
  std::shared_ptr<const void> given;
  const void* arguments; // in `given`
  std::size_t argument_bytes;
};
void submit(Work work, unsigned max_threads);

/// kernel<<<grid, block, shared, stream>>>(arguments...), in parts.
struct Launch {
  const char* kernel;
  Site site;
  unsigned max_threads; // of its __launch_bounds__
  dim3 grid, block;
  std::size_t shared = 0;
  cudaStream_t stream = nullptr;

  Launch with(dim3 blocks, dim3 threads, std::size_t bytes = 0, cudaStream_t on = nullptr) const {
    return {kernel, site, max_threads, blocks, threads, bytes, on};
  }
  template <class Call, class... Args> void run(Call call, Args... args) const {
    static_assert((std::is_trivially_copyable_v<Args> && ...), "kernel parameters are copied");
    using Arguments = std::tuple<Args...>;
    static_assert(sizeof(Arguments) <= 4096, "more kernel parameters than CUDA takes");
    using Kept = std::pair<Call, Arguments>;
    auto kept = std::make_shared<const Kept>(call, Arguments(args...));
    const void* const bytes = &kept->second;
    submit({kernel, site, grid, block, shared, stream, 0,
            [](const void* p) {
              const Kept& given = *static_cast<const Kept*>(p);
              std::apply(given.first, given.second);
            },
            std::move(kept), bytes, sizeof(Arguments)},
           max_threads);
  }
};

template <class Array> Array& static_shared(const char* file, int line) {
  return *static_cast<Array*>(shared_array(sizeof(Array), alignof(Array), {file, line}));
}
template <class T> T* dynamic_shared(const char* file, int line) {
  return static_cast<T*>(dynamic_shared_array(alignof(T), {file, line}));
}

} // namespace emulated_cuda
