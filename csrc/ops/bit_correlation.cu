// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/bit_correlation.hpp"

#include "core/for_each.hpp" // for for_each, cuda_on

namespace micro3d {

namespace {

constexpr int block_size = BitPairsBlock::threads;
constexpr Index shared_lags = 8192; // 32 kB of counters a block
constexpr unsigned whole_warp = 0xffffffffu;

struct DeviceCount {
  __device__ Index operator()(Word x) const { return __popcll(x); }
};

__global__ void __launch_bounds__(block_size) pairs_kernel(BitPairsBlock block) {
  __shared__ std::int64_t shared[block_size];
  const Index lags = block.op.lattice.lags, jobs = block.op.lattice.slabs * lags;
  const int thread = static_cast<int>(threadIdx.x);
  for (Index job = blockIdx.x; job < jobs; job += gridDim.x) {
    const Index o = job / lags, r = job % lags;
    block.partial(o, r, thread, shared, DeviceCount{});
    for (int width = block_size / 2; width > 0; width /= 2) {
      __syncthreads();
      block.halve(width, thread, shared);
    }
    __syncthreads();
    block.store(o, r, thread, shared);
    __syncthreads();
  }
}

/// A thread keeps its 64 segments in a register from lag to lag; a warp goes on while one lives.
__global__ void __launch_bounds__(block_size)
    segments_kernel(BitSegments op, Index tiles, bool in_shared) {
  extern __shared__ unsigned counters[]; // 64 bits of 256 threads a lag at most: 2^14
  const Index lags = op.lattice.lags, words = op.lattice.rows * op.lattice.words;
  const Index jobs = op.lattice.slabs * tiles;
  for (Index job = blockIdx.x; job < jobs; job += gridDim.x) {
    const Index o = job / tiles, j = job % tiles * block_size + threadIdx.x;
    auto* out = reinterpret_cast<unsigned long long*>(op.counts + o * lags);
    if (in_shared) {
      for (Index r = threadIdx.x; r < lags; r += block_size)
        counters[r] = 0;
      __syncthreads();
    }
    Word alive = 0;
    for (Index r = 0; r < lags; ++r) {
      alive = j < words && (r == 0 || alive != 0) ? op.value(alive, o, j, r) : 0;
      if (!__any_sync(whole_warp, alive != 0))
        break;
      unsigned sum = static_cast<unsigned>(__popcll(alive));
      for (int k = 16; k > 0; k /= 2)
        sum += __shfl_down_sync(whole_warp, sum, k);
      if (threadIdx.x % 32 == 0)
        in_shared ? (void)atomicAdd(counters + r, sum) : (void)atomicAdd(out + r, sum);
    }
    if (!in_shared)
      continue;
    __syncthreads();
    for (Index r = threadIdx.x; r < lags; r += block_size)
      if (counters[r] != 0)
        atomicAdd(out + r, counters[r]);
    __syncthreads();
  }
}

unsigned blocks_for(Index jobs) { return static_cast<unsigned>(jobs < 65535 ? jobs : 65535); }

} // namespace

void pack_bits_cuda(const PackBits& op, std::uintptr_t stream) {
  pack_bits_walk(op, [&](Index n, const auto& body) { for_each(cuda_on(stream), n, body); });
}

void bit_pairs_cuda(const BitPairs& op, std::uintptr_t stream) {
  const Index jobs = op.lattice.slabs * op.lattice.lags;
  if (jobs == 0)
    return;
  pairs_kernel<<<blocks_for(jobs), block_size, 0, cuda_on(stream).stream>>>(BitPairsBlock{op});
  M3D_CUDA_CHECK(cudaGetLastError());
}

void bit_segments_cuda(const BitSegments& op, std::uintptr_t stream) {
  const Index words = op.lattice.rows * op.lattice.words;
  const Index tiles = (words + block_size - 1) / block_size;
  const Index jobs = op.lattice.slabs * tiles;
  if (jobs == 0 || op.lattice.lags == 0)
    return;
  const bool in_shared = op.lattice.lags <= shared_lags;
  const std::size_t bytes = in_shared ? std::size_t(op.lattice.lags) * sizeof(unsigned) : 0;
  segments_kernel<<<blocks_for(jobs), block_size, bytes, cuda_on(stream).stream>>>(op, tiles,
                                                                                   in_shared);
  M3D_CUDA_CHECK(cudaGetLastError());
}

} // namespace micro3d
