// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/spectrum.hpp"

#include "core/divisor.hpp"  // for BoxIndex
#include "core/for_each.hpp" // for for_each, cuda_on

namespace micro3d {

namespace {

constexpr int block_size = 256;
constexpr Index shared_bins = 1536; // three histograms of 64-bit counters: 36 kB

using Counter = unsigned long long; // wraps as int64 does

struct DeviceSums {
  Counter *hit, *pair, *lag;
  __device__ void hits(Index b, std::int64_t n) const {
    if (n != 0)
      atomicAdd(hit + b, static_cast<Counter>(n));
  }
  __device__ void pairs(Index b, std::int64_t n) const {
    if (n != 0)
      atomicAdd(pair + b, static_cast<Counter>(n));
  }
  __device__ void lags(Index b, std::int64_t n) const {
    if (n != 0)
      atomicAdd(lag + b, static_cast<Counter>(n));
  }
};

/// op.store() of each element of a box.
template <class Op> struct StoreEach {
  Op op;
  BoxIndex box;
  M3D_HD void operator()(Index n) const {
    Index z, y, x;
    box.split(n, z, y, x);
    op.store(z, y, x);
  }
};

struct AddWord {
  __device__ std::uint32_t operator()(std::uint32_t* p, std::uint32_t n) const {
    return atomicAdd(p, n);
  }
};

__device__ Counter* counters(std::int64_t* p) { return reinterpret_cast<Counter*>(p); }

/// This thread's share of the lags into `sums`.
template <class T, class Sums>
__device__ void sum_share(Index n, const SumRadially<T>& op, const BoxIndex& box,
                          const Sums& sums) {
  const Index step = Index(gridDim.x) * block_size;
  for (Index e = Index(blockIdx.x) * block_size + threadIdx.x; e < n; e += step) {
    Index k, j, i;
    box.split(e, k, j, i);
    op.sum(k, j, i, sums);
  }
}

template <class T>
__global__ void __launch_bounds__(block_size)
    radial_kernel(Index n, SumRadially<T> op, BoxIndex box, bool in_shared) {
  extern __shared__ std::uint32_t words[];
  const Index bins = op.bins;
  const DeviceSums to{counters(op.hits), counters(op.pairs), counters(op.lags)};
  if (!in_shared) {
    sum_share(n, op, box, to);
    return;
  }
  for (Index b = threadIdx.x; b < 6 * bins; b += block_size)
    words[b] = 0;
  __syncthreads();
  const SplitSums<AddWord> mine{words, bins, {}};
  sum_share(n, op, box, mine);
  __syncthreads();
  for (Index b = threadIdx.x; b < bins; b += block_size) {
    to.hits(b, mine.total(b));
    if (op.pairs)
      to.pairs(b, mine.total(bins + b));
    if (op.lags)
      to.lags(b, mine.total(2 * bins + b));
  }
}

} // namespace

template <class T> void load_phase_cuda(Index n, const LoadPhase<T>& op, std::uintptr_t stream) {
  for_each(cuda_on(stream), n, StoreEach<LoadPhase<T>>{op, box_index(op.rows, op.padded)});
}

template <class T>
void multiply_spectra_cuda(Index n, const MultiplySpectra<T>& op, std::uintptr_t stream) {
  for_each(cuda_on(stream), n, op);
}

template <class T>
void store_counts_cuda(Index planes, const StoreCounts<T>& op, std::uintptr_t stream) {
  for_each(cuda_on(stream), planes * op.y.size * op.x.size,
           StoreEach<StoreCounts<T>>{op, box_index(op.y.size, op.x.size)});
}

template <class T>
void sum_radially_cuda(Index planes, const SumRadially<T>& op, std::uintptr_t stream) {
  const Index n = planes * op.planes.y.size * op.planes.x.size;
  if (n == 0)
    return;
  const bool in_shared = op.bins <= shared_bins;
  const std::size_t bytes = in_shared ? 3 * std::size_t(op.bins) * sizeof(Counter) : 0;
  const Index blocks = (n + block_size - 1) / block_size;
  radial_kernel<<<static_cast<unsigned>(blocks < 2048 ? blocks : 2048), block_size, bytes,
                  cuda_on(stream).stream>>>(n, op, box_index(op.planes.y.size, op.planes.x.size),
                                            in_shared);
  M3D_CUDA_CHECK(cudaGetLastError());
}

template void load_phase_cuda(Index, const LoadPhase<float>&, std::uintptr_t);
template void load_phase_cuda(Index, const LoadPhase<double>&, std::uintptr_t);
template void multiply_spectra_cuda(Index, const MultiplySpectra<float>&, std::uintptr_t);
template void multiply_spectra_cuda(Index, const MultiplySpectra<double>&, std::uintptr_t);
template void store_counts_cuda(Index, const StoreCounts<float>&, std::uintptr_t);
template void store_counts_cuda(Index, const StoreCounts<double>&, std::uintptr_t);
template void sum_radially_cuda(Index, const SumRadially<float>&, std::uintptr_t);
template void sum_radially_cuda(Index, const SumRadially<double>&, std::uintptr_t);

} // namespace micro3d
