// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/bit_correlation.hpp"

#include "core/for_each.hpp" // for for_each, cuda_on

namespace micro3d {

namespace {

constexpr int block_size = 256;
constexpr Index shared_lags = 8192; // 32 kB of counters per block
constexpr unsigned whole_warp = 0xffffffffu;

/// Columns contiguous in memory: a thread packs half a word, n = 2 (o * slab + j) + half.
struct PackHalves {
  PackBits op;

  M3D_HD std::uint32_t value(Index n) const {
    const Index o = n / (2 * op.slab), j = n % (2 * op.slab) / 2;
    const Index row = j / op.words, first = (j % op.words * 2 + n % 2) * 32;
    if (row < op.all_rows && first + 32 <= op.columns) {
      const Index i = row % op.rows;
      const std::uint8_t* l = op.labels + o * op.stride_o + i * op.stride_i + first;
      const std::uint8_t* m = op.mask ? op.mask + o * op.mask_o + i * op.mask_i + first : nullptr;
      if (is_aligned(l, 8) && (m == nullptr || (op.mask_b == 1 && is_aligned(m, 8))))
        return op.half_word(l, m);
    }
    return static_cast<std::uint32_t>(op.word(o, j) >> (n % 2 * 32));
  }
  M3D_HD void operator()(Index n) const { // little-endian: the low half comes first
    reinterpret_cast<std::uint32_t*>(op.out)[n] = value(n);
  }
};

/// Rows nearest in memory: neighbouring threads take neighbouring rows.
struct PackRowsFirst {
  PackBits op;
  Index rows; // of a slab, the spare words included

  M3D_HD void operator()(Index n) const {
    const Index o = n / (rows * op.words), j = n % rows * op.words + n / rows % op.words;
    if (j < op.slab)
      op.out[o * op.slab + j] = op.word(o, j);
  }
};

/// A block counts one (slab, lag) at a time: each thread a share of the words, then a tree of sums.
__global__ void __launch_bounds__(block_size) pairs_kernel(BitPairs op) {
  __shared__ std::int64_t shared[block_size];
  const Index lags = op.lattice.lags, jobs = op.lattice.slabs * lags;
  const int thread = static_cast<int>(threadIdx.x);
  for (Index job = blockIdx.x; job < jobs; job += gridDim.x) {
    const Index o = job / lags, r = job % lags;
    const BitShift shift = op.lattice.shift(o, r);
    std::int64_t sum = 0;
    if (shift.slab >= 0)
      for (Index j = thread; j < op.lattice.extent(r); j += block_size)
        sum += __popcll(op.value(shift, o, j));
    shared[thread] = sum;
    for (int width = block_size / 2; width > 0; width /= 2) {
      __syncthreads();
      if (thread < width)
        shared[thread] += shared[thread + width];
    }
    __syncthreads();
    if (thread == 0)
      op.counts[o * lags + r] = shared[0];
    __syncthreads();
  }
}

/// A thread keeps its 64 segments in a register from lag to lag; a warp continues while one is
/// left.
__global__ void __launch_bounds__(block_size)
    segments_kernel(BitSegments op, Index tiles, bool in_shared) {
  extern __shared__ unsigned counters[]; // at most 2^14 per lag: 64 bits of 256 threads
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
  const Cuda cuda = cuda_on(stream);
  if (op.stride_b == 1) {
    for_each(cuda, 2 * op.slabs * op.slab, PackHalves{op});
  } else if (op.stride_i == 1) {
    const Index rows = (op.slab + op.words - 1) / op.words;
    for_each(cuda, op.slabs * op.words * rows, PackRowsFirst{op, rows});
  } else {
    for_each(cuda, op.slabs * op.slab, op);
  }
}

void bit_pairs_cuda(const BitPairs& op, std::uintptr_t stream) {
  const Index jobs = op.lattice.slabs * op.lattice.lags;
  if (jobs == 0)
    return;
  pairs_kernel<<<blocks_for(jobs), block_size, 0, cuda_on(stream).stream>>>(op);
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
