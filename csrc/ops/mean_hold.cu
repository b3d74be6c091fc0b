// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/mean_hold.hpp"

#include "core/errors.hpp"       // for CudaError
#include "core/for_each.hpp"     // for cuda_on
#include "core/reduce.hpp"       // for block_sum
#include "ops/channels_last.hpp" // for Elements

#include <type_traits> // for remove_reference_t

namespace micro3d {

namespace {

constexpr int threads = 256;

/// The work of one step or of the end: rows of four columns each, of one channel of one volume.
struct Quads {
  MeanHold op;
  Index rows, columns, every; // rows of how many voxels; slices apart
  Divisor quads, heights;     // quads of a row, rows of a slice
  Index count;                // of quads

  Quads(const MeanHold& given, const Index (&part)[3], Index every)
      : op(given), rows((part[0] + every - 1) / every * part[1]), columns(part[2]), every(every),
        quads(divisor((part[2] + 3) / 4)), heights(divisor(part[1])), count(rows * quads.by) {}

  /// Where a quad begins in each field, and how many of its voxels exist.
  struct Place {
    Index at[MeanHold::roles];
    int exist;
  };
  __device__ Place place(Index volume, Index c, Index i) const {
    Index row, quad, slice, h;
    quads.split(i, row, quad);
    heights.split(row, slice, h);
    Place found{};
    for (int role = 0; role < MeanHold::roles; ++role)
      found.at[role] = op.at(role, volume, c, slice * every, h, 4 * quad);
    const Index left = columns - 4 * quad;
    found.exist = left < 4 ? static_cast<int>(left) : 4;
    return found;
  }

  /// Calls call(quad) with the quad as elements side by side, or returns false.
  template <class Call>
  __device__ static bool side_by_side(const Field& f, Index at, int exist, const Call& call) {
    const auto byte = reinterpret_cast<std::uintptr_t>(f.data) + std::uintptr_t(at) * f.bytes();
    if (exist < 4 || f.stride[3] != 1 || byte % (4 * f.bytes()) != 0)
      return false;
    if (f.element == Element::f32)
      call(reinterpret_cast<Elements<Element::f32, 4>*>(byte));
    else if (f.element == Element::bf16)
      call(reinterpret_cast<Elements<Element::bf16, 4>*>(byte));
    else
      call(reinterpret_cast<Elements<Element::f16, 4>*>(byte));
    return true;
  }
  __device__ static void load(const Field& f, Index at, int exist, float v[4]) {
    const auto whole = [&](const auto* from) {
      const auto quad = *from;
      for (int j = 0; j < 4; ++j)
        v[j] = quad.get(j);
    };
    if (side_by_side(f, at, exist, whole))
      return;
    for (int j = 0; j < 4; ++j)
      v[j] = j < exist ? f.load(at + j * f.stride[3]) : 0.0f;
  }
  __device__ static void store(const Field& f, Index at, int exist, const float v[4]) {
    const auto whole = [&](auto* to) {
      std::remove_reference_t<decltype(*to)> quad;
      for (int j = 0; j < 4; ++j)
        quad.set(j, v[j]);
      *to = quad;
    };
    if (side_by_side(f, at, exist, whole))
      return;
    for (int j = 0; j < 4; ++j)
      if (j < exist)
        f.store(at + j * f.stride[3], v[j]);
  }

  /// The network's outputs and the predicted x0 of a quad.
  __device__ void read(const Place& place, float net[4], float uncond[4], float x0[4]) const {
    float x[4];
    load(op.field[MeanHold::X], place.at[MeanHold::X], place.exist, x);
    load(op.field[MeanHold::Net], place.at[MeanHold::Net], place.exist, net);
    for (int j = 0; j < 4; ++j)
      uncond[j] = 0.0f;
    if (op.field[MeanHold::Uncond].present())
      load(op.field[MeanHold::Uncond], place.at[MeanHold::Uncond], place.exist, uncond);
    for (int j = 0; j < 4; ++j)
      x0[j] = op.predicted(x[j], net[j], uncond[j]);
  }
};

/// w of one channel of one volume before a step, from the sums of the step before; in every block.
__device__ float tilt_of(const MeanHold& op, Index which, Index c, double* scratch, int step,
                         int blocks, Index n, double* shared) {
  if (step == 0)
    return op.tilt[which];
  double* const mine = scratch + which * mean_hold_scratch;
  const double* const sums = mine + (step - 1) % 2 * (2 * mean_hold_blocks);
  const int thread = static_cast<int>(threadIdx.x);
  const double sum = block_sum<threads>(thread < blocks ? sums[2 * thread] : 0.0, shared);
  __syncthreads();
  const double squares = block_sum<threads>(thread < blocks ? sums[2 * thread + 1] : 0.0, shared);
  __syncthreads();
  const float before = static_cast<float>(mine[4 * mean_hold_blocks + step - 1]);
  return op.newton(before, op.wanted[c], sum, squares, static_cast<double>(n));
}

/// Set sums[2] to the block's sums of y and y^2 over quads first, first + 1, ... of its threads,
/// and those that lie a multiple of `apart` behind, below stop.
__device__ void sum_quads(const Quads& quads, Index volume, Index c, float t, Index first,
                          Index stop, Index apart, double* shared, double* sums) {
  double sum = 0.0, squares = 0.0;
#pragma unroll 2
  for (Index i = first + threadIdx.x; i < stop; i += apart) {
    const Quads::Place place = quads.place(volume, c, i);
    float net[4], uncond[4], x0[4], s = 0.0f, s2 = 0.0f;
    quads.read(place, net, uncond, x0);
    for (int j = 0; j < 4; ++j) {
      const float y = j < place.exist ? quads.op.tilted(x0[j], t) : 0.0f;
      s += y;
      s2 += y * y;
    }
    sum += s;
    squares += s2;
  }
  sum = block_sum<threads>(sum, shared);
  __syncthreads();
  squares = block_sum<threads>(squares, shared);
  if (threadIdx.x == 0) {
    sums[0] = sum;
    sums[1] = squares;
  }
}

/// Sum y and y^2 under the w of this step. Blocks of one place are neighbours for all channels,
/// whose outputs of the network share cache lines.
__global__ void __launch_bounds__(threads)
    sum_tilted(Quads quads, double* scratch, int step, int blocks, Index n) {
  static_assert(mean_hold_blocks <= threads);
  __shared__ double shared[threads];
  const MeanHold& op = quads.op;
  const Index channels = op.extent[0], c = blockIdx.x % channels, block = blockIdx.x / channels;
  const Index volume = blockIdx.y, which = volume * channels + c;
  const float w = tilt_of(op, which, c, scratch, step, blocks, n, shared), t = tanhf(w);
  double* const mine = scratch + which * mean_hold_scratch;
  sum_quads(quads, volume, c, t, block * threads, quads.count, Index(blocks) * threads, shared,
            mine + step % 2 * (2 * mean_hold_blocks) + 2 * block);
  if (threadIdx.x == 0 && block == 0)
    mine[4 * mean_hold_blocks + step] = w;
}

/// Sum y and y^2 of each slice under op.tilt; a slice is the work of some blocks.
__global__ void __launch_bounds__(threads) sum_slices(Quads quads, double* sums, Index blocks) {
  __shared__ double shared[threads];
  const MeanHold& op = quads.op;
  const Index channels = op.extent[0], volume = blockIdx.y;
  const Index block = blockIdx.x % blocks, left = blockIdx.x / blocks, c = left % channels;
  const Index slice = left / channels, which = volume * channels + c;
  const Index own = quads.heights.by * quads.quads.by; // quads of a slice
  sum_quads(quads, volume, c, tanhf(op.tilt[which]), slice * own + block * threads,
            (slice + 1) * own, blocks * threads, shared,
            sums + 2 * ((which * op.counted() + slice) * blocks + block));
}

/// Change the outputs of all voxels under the final w, and keep that.
__global__ void __launch_bounds__(threads)
    tilt_outputs(Quads quads, double* scratch, int blocks, Index n) {
  __shared__ double shared[threads];
  const MeanHold& op = quads.op;
  const Index channels = op.extent[0], c = blockIdx.x % channels, block = blockIdx.x / channels;
  const Index volume = blockIdx.y, which = volume * channels + c;
  const float w =
      op.given ? op.tilt[which]
               : op.on_grid(tilt_of(op, which, c, scratch, MeanHold::steps, blocks, n, shared));
  if (!op.given && block == 0 && threadIdx.x == 0)
    op.tilt[which] = w;
  const float t = tanhf(w);
#pragma unroll 2
  for (Index i = block * threads + threadIdx.x; i < quads.count;
       i += Index(gridDim.x / channels) * threads) {
    const Quads::Place place = quads.place(volume, c, i);
    float net[4], uncond[4], x0[4];
    quads.read(place, net, uncond, x0);
    for (int j = 0; j < 4; ++j) {
      const float change = op.change(x0[j], t);
      net[j] += change;
      uncond[j] += change; // the weights of the two sum to 1
    }
    Quads::store(op.field[MeanHold::Net], place.at[MeanHold::Net], place.exist, net);
    if (op.field[MeanHold::Uncond].present())
      Quads::store(op.field[MeanHold::Uncond], place.at[MeanHold::Uncond], place.exist, uncond);
  }
}

} // namespace

void mean_hold_cuda(const MeanHold& op, double* scratch, std::uintptr_t on) {
  const cudaStream_t stream = cuda_on(on).stream;
  if (op.volumes > 65535)
    throw CudaError("`hold_mean`: more volumes than CUDA takes");
  const Quads some(op, op.part, op.every);
  const Index whole[3] = {op.extent[1], op.extent[2], op.extent[3]};
  const Quads all(op, whole, 1);
  const auto grid = [&](const Quads& quads, Index most) {
    const Index blocks = (quads.count + threads - 1) / threads;
    return blocks < most ? blocks : most;
  };
  const auto dims = [&](Index blocks) {
    return dim3(static_cast<unsigned>(blocks * op.extent[0]), static_cast<unsigned>(op.volumes));
  };
  const Index blocks = grid(some, mean_hold_blocks);
  for (int step = 0; !op.given && step < MeanHold::steps; ++step) {
    sum_tilted<<<dims(blocks), threads, 0, stream>>>(some, scratch, step, static_cast<int>(blocks),
                                                     op.count());
    M3D_CUDA_CHECK(cudaGetLastError());
  }
  // Each block sums the partial sums anew: enough blocks for a GPU, not more.
  tilt_outputs<<<dims(grid(all, 2048)), threads, 0, stream>>>(all, scratch,
                                                              static_cast<int>(blocks), op.count());
  M3D_CUDA_CHECK(cudaGetLastError());
}

void mean_hold_sums_cuda(const MeanHold& op, double* sums, Index blocks, std::uintptr_t on) {
  const cudaStream_t stream = cuda_on(on).stream;
  const Index grid = op.counted() * op.extent[0] * blocks;
  if (op.volumes > 65535 || grid > 0x7fffffff)
    throw CudaError("`mean_hold_sums`: more volumes or slices than CUDA takes");
  sum_slices<<<dim3(static_cast<unsigned>(grid), static_cast<unsigned>(op.volumes)), threads, 0,
               stream>>>(Quads(op, op.part, op.every), sums, blocks);
  M3D_CUDA_CHECK(cudaGetLastError());
}

} // namespace micro3d
