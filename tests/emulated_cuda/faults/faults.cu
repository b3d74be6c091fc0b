// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
// Kernels that are right, and kernels with one fault each that the emulation has to find:
// test_emulation.py.
#include <cuda_runtime.h>

#include <cstdint> // for uintptr_t
#include <cstring> // for strcmp

namespace {

constexpr int most = 256;

/// out[block] = sum of 1 + number over the threads of the block, whatever its shape.
__global__ void right(int* out, int n) {
  __shared__ int sums[1024];
  const int threads = static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
  const int thread =
      static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
  const int block =
      static_cast<int>(blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z));
  sums[thread] = 1 + thread;
  __syncthreads();
  for (int width = 512; width > 0; width /= 2) {
    if (thread < width && thread + width < threads)
      sums[thread] += sums[thread + width];
    __syncthreads();
  }
  if (thread == 0 && block < n)
    out[block] = sums[0];
}

/// out[0] += 1 + number of the thread, by warps and a counter in shared memory.
__global__ void __launch_bounds__(most) right_warps(int* out, int) {
  extern __shared__ unsigned counter[];
  if (threadIdx.x == 0)
    counter[0] = 0;
  __syncthreads();
  unsigned sum = 1 + threadIdx.x;
  for (int k = 16; k > 0; k /= 2)
    sum += __shfl_down_sync(0xffffffffu, sum, k);
  if (threadIdx.x % 32 == 0)
    atomicAdd(counter, sum);
  const bool any = __any_sync(0xffffffffu, threadIdx.x % 32 == 7);
  __syncthreads();
  if (threadIdx.x == 0 && any)
    atomicAdd(out, static_cast<int>(counter[0]));
}

__global__ void missing_barrier(int* out, int n) {
  __shared__ int turned[most];
  const int t = static_cast<int>(threadIdx.x);
  turned[n - 1 - t] = t;
  out[t] = turned[t];
}
__global__ void depends_on_blocks(int* out, int) {
  const unsigned b = blockIdx.x;
  out[b] = 1 + (b > 0 ? out[b - 1] : 0);
}
__global__ void lost_update(int* out, int) { out[0] += 1; }
__global__ void zeroed_by_one_block(int* out, int) { // the others may have added before
  if (blockIdx.x == 0 && threadIdx.x == 0)
    out[0] = 0;
  atomicAdd(out, 1);
}
__global__ void left_before_the_barrier(int* out, int) {
  if (threadIdx.x >= 32)
    return;
  __syncthreads();
  out[threadIdx.x] = 1;
}
__global__ void two_barriers(int* out, int) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
  out[threadIdx.x] = 1;
}
__global__ void missing_lane(int* out, int) {
  if (threadIdx.x == 5)
    __syncthreads();
  else
    out[threadIdx.x] = __any_sync(0xffffffffu, 1);
}
__global__ void mask_without_itself(int* out, int) {
  out[threadIdx.x] = __any_sync(0xfffffffeu, 1);
}
__global__ void not_initialized(int* out, int) {
  __shared__ int values[most];
  out[threadIdx.x] = values[threadIdx.x];
}
__global__ void beyond_shared(int*, int n) {
  extern __shared__ int counts[];
  counts[n] = 1;
}
__global__ void beyond_global(int* out, int n) { out[n + static_cast<int>(threadIdx.x)] = 1; }
__global__ void not_aligned(int* out, int) {
  *reinterpret_cast<int*>(reinterpret_cast<char*>(out) + 2) = 1;
}
__global__ void __launch_bounds__(most) bounded(int* out, int) { out[threadIdx.x] = 1; }

} // namespace

extern "C" __attribute__((visibility("default"))) int
launch(const char* name, const unsigned* grid, const unsigned* block, std::uintptr_t bytes,
       std::uintptr_t handle, int* out, int n) {
  const dim3 g(grid[0], grid[1], grid[2]), b(block[0], block[1], block[2]);
  const auto stream = reinterpret_cast<cudaStream_t>(handle);
  if (std::strcmp(name, "right") == 0)
    right<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "right_warps") == 0)
    right_warps<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "missing_barrier") == 0)
    missing_barrier<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "depends_on_blocks") == 0)
    depends_on_blocks<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "lost_update") == 0)
    lost_update<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "zeroed_by_one_block") == 0)
    zeroed_by_one_block<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "left_before_the_barrier") == 0)
    left_before_the_barrier<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "two_barriers") == 0)
    two_barriers<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "missing_lane") == 0)
    missing_lane<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "mask_without_itself") == 0)
    mask_without_itself<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "not_initialized") == 0)
    not_initialized<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "beyond_shared") == 0)
    beyond_shared<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "beyond_global") == 0)
    beyond_global<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "not_aligned") == 0)
    not_aligned<<<g, b, bytes, stream>>>(out, n);
  else if (std::strcmp(name, "bounded") == 0)
    bounded<<<g, b, bytes, stream>>>(out, n);
  else
    return -1;
  return cudaGetLastError();
}
