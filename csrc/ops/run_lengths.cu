// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/run_lengths.hpp"

#include "core/for_each.hpp" // for cuda_on, grid_for

namespace micro3d {

namespace {

using Count = unsigned long long; // what 64-bit atomics take; wraps as int64 does

/// Straight to global memory: for histograms too large for shared memory.
struct GlobalAdd {
  std::int64_t *counts, *fulls;
  __device__ void count(Index slot, int n) const {
    atomicAdd(reinterpret_cast<Count*>(counts + slot),
              static_cast<Count>(static_cast<long long>(n)));
  }
  __device__ void full(int phase, int n) const {
    atomicAdd(reinterpret_cast<Count*>(fulls + phase),
              static_cast<Count>(static_cast<long long>(n)));
  }
};

/// Through a block's own 32-bit histogram in shared memory.
struct SharedAdd {
  int* counts;
  std::int64_t* fulls;
  __device__ void count(Index slot, int n) const { atomicAdd(counts + slot, n); }
  __device__ void full(int phase, int n) const { GlobalAdd{nullptr, fulls}.full(phase, n); }
};

constexpr int block_size = RunLengthsPacked::threads;
constexpr Index shared_slots = 8192; // 32 kB: available on every GPU without opting in

/// Runs `body(add)` with the shared histogram if it fits, and adds that to the global one at the
/// end.
template <class Body>
__device__ void with_histogram(const RunLengths& op, bool in_shared, int* histogram,
                               const Body& body) {
  if (!in_shared) {
    body(GlobalAdd{op.counts, op.full});
    return;
  }
  const Index slots = op.n_phases * (op.length + 1);
  for (Index s = threadIdx.x; s < slots; s += block_size)
    histogram[s] = 0;
  __syncthreads();
  body(SharedAdd{histogram, op.full});
  __syncthreads();
  for (Index s = threadIdx.x; s < slots; s += block_size)
    if (histogram[s] != 0)
      GlobalAdd{op.counts, op.full}.count(s, histogram[s]);
}

struct PackedBody {
  const RunLengthsPacked& schedule;
  std::uint32_t* words;
  template <class Add> __device__ void operator()(const Add& add) const {
    for (Index tile = blockIdx.x; tile < schedule.tiles(); tile += gridDim.x) {
      schedule.pack(tile, static_cast<int>(threadIdx.x), words);
      __syncthreads();
      schedule.count(tile, static_cast<int>(threadIdx.x), words, add);
      __syncthreads();
    }
  }
};

__global__ void __launch_bounds__(block_size)
    packed_kernel(RunLengthsPacked schedule, bool in_shared) {
  __shared__ std::uint32_t words[RunLengthsPacked::max_words];
  extern __shared__ int histogram[];
  with_histogram(schedule.op, in_shared, histogram, PackedBody{schedule, words});
}

/// A thread per row: rows too long for the packed schedule, so the histogram is global.
__global__ void __launch_bounds__(block_size) column_kernel(RunLengths op) {
  const Index rows = op.n_outer * op.n_inner;
  for (Index r = Index(blockIdx.x) * block_size + threadIdx.x; r < rows;
       r += Index(gridDim.x) * block_size)
    op.row(r / op.n_inner, r % op.n_inner, GlobalAdd{op.counts, op.full});
}

} // namespace

void run_lengths_cuda(const RunLengths& given, std::uintptr_t stream) {
  RunLengths op = given;
  const Index rows = op.n_outer * op.n_inner;
  if (op.length == 0 || rows == 0)
    return;
  nearest_rows_inside(op);
  const cudaStream_t s = cuda_on(stream).stream;
  if (packs(op)) {
    const Index slots = op.n_phases * (op.length + 1);
    // A 32-bit shared histogram holds what one block can count: 2^31 voxels.
    const bool in_shared = slots <= shared_slots;
    const std::size_t bytes = in_shared ? std::size_t(slots) * sizeof(int) : 0;
    const RunLengthsPacked schedule = packed(op);
    const Index tiles = schedule.tiles();
    const Index grid = in_shared ? (tiles < 2048 ? tiles : 2048) : tiles;
    packed_kernel<<<static_cast<unsigned>(grid < 65535 ? grid : 65535), block_size, bytes, s>>>(
        schedule, in_shared);
  } else {
    column_kernel<<<grid_for(rows, block_size), block_size, 0, s>>>(op);
  }
  M3D_CUDA_CHECK(cudaGetLastError());
}

} // namespace micro3d
