// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/channels_last.hpp"

#include "core/errors.hpp"   // for CudaError
#include "core/for_each.hpp" // for cuda_on

namespace micro3d {

namespace {

constexpr int threads = 256, warps = threads / 32;

/// How the threads of a block share the pixels of an image: a thread keeps to V channels, so that
/// it reads 16 bytes at once and holds what belongs to its channels in registers.
template <int V> struct Lanes {
  int vectors, lanes, rows, lane, row;

  __device__ Lanes(Index channels, int thread) {
    vectors = static_cast<int>(channels / V);
    lanes = vectors < threads ? vectors : threads;
    rows = threads / lanes;
    row = thread / lanes;
    lane = thread % lanes;
  }
};

/// What the threads read at once; a kernel's template arguments follow from it.
template <Element E, int V> struct Width {};

constexpr int batch = 2; // pixels that a thread has in flight

/// Calls body(pixels, count) for the pixels of a thread, `Batch` at a time.
template <int Batch, int V, class Body>
__device__ void each_pixel(Index pixels, const Lanes<V>& at, const Body& body) {
  const Index step = Index(gridDim.x) * at.rows;
  for (Index first = Index(blockIdx.x) * at.rows + at.row; first < pixels; first += Batch * step) {
    Index p[Batch];
    int count = 0;
#pragma unroll
    for (int k = 0; k < Batch; ++k) {
      p[k] = first + k * step;
      count += p[k] < pixels ? 1 : 0;
    }
    body(p, count);
  }
}

/// Writes the sum over the rows of every channel from `base` vectors on; all threads come here.
template <int V>
__device__ void add_rows(const Lanes<V>& at, int base, Index channels, const float (&mine)[V],
                         float* shared, float* to) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int j = 0; j < V; ++j)
    shared[j * threads + thread] = mine[j];
  __syncthreads();
  for (int c = thread; c < at.lanes * V && base * V + c < channels; c += threads) {
    float sum = 0.0f;
    for (int row = 0; row < at.rows; ++row)
      sum += shared[c % V * threads + row * at.lanes + c / V];
    to[base * V + c] = sum;
  }
  __syncthreads();
}

/// Sum over the warp; the result is right in its first thread.
template <class T> __device__ T warp_sum(T value) {
  for (int half = 16; half > 0; half /= 2)
    value += __shfl_down_sync(0xffffffffu, value, half);
  return value;
}

/// Sum of the channels of a group by a warp; right in its first thread.
__device__ float group_sum(const GroupNorm& op, const float* channel, Index group) {
  const Index size = op.group_size();
  float sum = 0.0f;
  for (Index c = threadIdx.x % 32; c < size; c += 32)
    sum += channel[group * size + c];
  return warp_sum(sum);
}

/// A value of the group, subtracted before squaring: else a large mean would leave no digits.
template <Element E> __device__ float origin(const GroupNorm& op, Index image, Index group) {
  const Index c = group * op.group_size();
  const float first =
      static_cast<const Elements<E, 1>*>(op.x)[image * op.pixels * op.channels + c].get(0);
  return first + (op.before.present() ? op.before.at(image, c) : 0.0f);
}

/// The sums of an image's groups over one part of its pixels.
template <Element E, int V>
__global__ void __launch_bounds__(threads)
    group_sums_kernel(Width<E, V>, GroupNorm op, float* partials) {
  __shared__ float sums[threads * V];
  extern __shared__ float channel[]; // sum and sum of squares of every channel
  const int thread = static_cast<int>(threadIdx.x);
  const Lanes<V> at(op.channels, thread);
  const Index image = blockIdx.y, part = blockIdx.x;
  const Index per = (op.pixels + op.parts - 1) / op.parts;
  const Index first = part * per, last = first + per < op.pixels ? first + per : op.pixels;
  const auto* x = static_cast<const Elements<E, V>*>(op.x) + image * op.pixels * at.vectors;
  for (int base = 0; base < at.vectors; base += at.lanes) { // once, but for very many channels
    const int vector = base + at.lane;
    float sum[V] = {}, square[V] = {}, before[V];
    if (at.row < at.rows && vector < at.vectors) {
      for (int j = 0; j < V; ++j) {
        const Index c = Index(vector) * V + j;
        before[j] = (op.before.present() ? op.before.at(image, c) : 0.0f) -
                    origin<E>(op, image, c / op.group_size());
      }
#pragma unroll 4
      for (Index p = first + at.row; p < last; p += at.rows) {
        const Elements<E, V> pack = x[p * at.vectors + vector];
#pragma unroll
        for (int j = 0; j < V; ++j) {
          const float value = pack.get(j) + before[j];
          sum[j] += value;
          square[j] += value * value;
        }
      }
    }
    add_rows(at, base, op.channels, sum, sums, channel);
    add_rows(at, base, op.channels, square, sums, channel + op.channels);
  }
  for (Index g = thread / 32; g < op.groups; g += warps) {
    const float s = group_sum(op, channel, g), q = group_sum(op, channel + op.channels, g);
    if (thread % 32 == 0) {
      float* to = partials + ((image * op.groups + g) * op.parts + part) * 3;
      to[0] = s;
      to[1] = q;
      to[2] = origin<E>(op, image, g);
    }
  }
}

template <Element E, int V>
__global__ void __launch_bounds__(threads)
    group_apply_kernel(Width<E, V>, GroupNorm op, const float* partials) {
  extern __shared__ float group[]; // mean and 1 / deviation
  const int thread = static_cast<int>(threadIdx.x);
  const Lanes<V> at(op.channels, thread);
  const Index image = blockIdx.y, size = op.group_size();
  for (Index g = thread / 32; g < op.groups; g += warps) {
    double s = 0.0, q = 0.0;
    for (int part = thread % 32; part < op.parts; part += 32) {
      const float* from = partials + ((image * op.groups + g) * op.parts + part) * 3;
      s += double(from[0]);
      q += double(from[1]);
    }
    s = warp_sum(s);
    q = warp_sum(q);
    if (thread % 32 == 0) {
      const double count = double(op.pixels * size), mean = s / count;
      const double variance = q / count - mean * mean;
      group[2 * g] = float(mean + double(partials[(image * op.groups + g) * op.parts * 3 + 2]));
      group[2 * g + 1] = 1.0f / sqrtf(float(variance > 0.0 ? variance : 0.0) + op.epsilon);
      if (op.statistics != nullptr && blockIdx.x == 0) {
        op.statistics[(image * op.groups + g) * 2] = group[2 * g];
        op.statistics[(image * op.groups + g) * 2 + 1] = group[2 * g + 1];
      }
    }
  }
  __syncthreads();
  if (at.row >= at.rows)
    return;
  const Index start = image * op.pixels * at.vectors;
  const auto* x = static_cast<const Elements<E, V>*>(op.x) + start;
  auto* out = static_cast<Elements<E, V>*>(op.out) + start;
  for (int vector = at.lane; vector < at.vectors; vector += at.lanes) {
    float gain[V], offset[V];
    for (int j = 0; j < V; ++j) {
      const Index c = Index(vector) * V + j, g = c / size;
      op.affine(image, c, group[2 * g], group[2 * g + 1], gain[j], offset[j]);
    }
    each_pixel<batch>(op.pixels, at, [&](const Index(&p)[batch], int count) {
      Elements<E, V> pack[batch]; // all are read before the first is written: x may be out
#pragma unroll
      for (int k = 0; k < batch; ++k)
        if (k < count)
          pack[k] = x[p[k] * at.vectors + vector];
#pragma unroll
      for (int k = 0; k < batch; ++k) {
        if (k >= count)
          break;
#pragma unroll
        for (int j = 0; j < V; ++j)
          pack[k].set(j, op.template value<E>(pack[k].get(j), gain[j], offset[j]));
        out[p[k] * at.vectors + vector] = pack[k];
      }
    });
  }
}

/// What a thread needs of its channels for the gradient.
template <int V> struct GradientLane {
  float mean[V], inverse[V], gain[V], offset[V];

  __device__ GradientLane(const GroupNormGradient& op, Index image, Index first) {
    const Index size = op.forward.group_size();
    for (int j = 0; j < V; ++j) {
      const Index g = image * op.forward.groups + (first + j) / size;
      mean[j] = op.forward.statistics[2 * g];
      inverse[j] = op.forward.statistics[2 * g + 1];
      op.affine(image, first + j, gain[j], offset[j]);
    }
  }
};

/// Of every channel, over one part of the pixels: the sums of dz and of dz times the normalized x.
template <Element E, int V>
__global__ void __launch_bounds__(threads)
    gradient_sums_kernel(Width<E, V>, GroupNormGradient op, float* partials) {
  __shared__ float sums[threads * V];
  const GroupNorm& f = op.forward;
  const int thread = static_cast<int>(threadIdx.x);
  const Lanes<V> at(f.channels, thread);
  const Index image = blockIdx.y, part = blockIdx.x;
  const Index per = (f.pixels + f.parts - 1) / f.parts;
  const Index first = part * per, last = first + per < f.pixels ? first + per : f.pixels;
  const Index start = image * f.pixels * at.vectors;
  const auto* x = static_cast<const Elements<E, V>*>(f.x) + start;
  const auto* dy = static_cast<const Elements<E, V>*>(op.gradient) + start;
  float* to = partials + (image * f.parts + part) * 2 * f.channels;
  for (int base = 0; base < at.vectors; base += at.lanes) {
    const int vector = base + at.lane;
    float sum[V] = {}, product[V] = {};
    if (at.row < at.rows && vector < at.vectors) {
      const GradientLane<V> lane(op, image, Index(vector) * V);
#pragma unroll 2
      for (Index p = first + at.row; p < last; p += at.rows) {
        const Elements<E, V> values = x[p * at.vectors + vector];
        const Elements<E, V> slopes = dy[p * at.vectors + vector];
#pragma unroll
        for (int j = 0; j < V; ++j) {
          const float normal = (values.get(j) - lane.mean[j]) * lane.inverse[j];
          const float dz =
              op.template inner<E>(slopes.get(j), lane.gain[j] * normal + lane.offset[j]);
          sum[j] += dz;
          product[j] += dz * normal;
        }
      }
    }
    add_rows(at, base, f.channels, sum, sums, to);
    add_rows(at, base, f.channels, product, sums, to + f.channels);
  }
}

/// Of an image: the sums over all parts, the gradients of scale and shift, the means of its groups.
__global__ void __launch_bounds__(threads)
    gradient_means_kernel(GroupNormGradient op, const float* partials, float* sums, float* means) {
  extern __shared__ float weighted[];
  const GroupNorm& f = op.forward;
  const int thread = static_cast<int>(threadIdx.x);
  const Index image = blockIdx.x, size = f.group_size();
  for (Index c = thread; c < f.channels; c += threads) {
    float s = 0.0f, q = 0.0f;
    for (int part = 0; part < f.parts; ++part) {
      const float* from = partials + (image * f.parts + part) * 2 * f.channels;
      s += from[c];
      q += from[f.channels + c];
    }
    float gain, offset;
    op.affine(image, c, gain, offset);
    weighted[c] = gain * s;
    weighted[f.channels + c] = gain * q;
    sums[image * 2 * f.channels + c] = s;
    sums[(image * 2 + 1) * f.channels + c] = q;
    if (op.scale != nullptr) {
      op.scale[image * f.channels + c] = f.weight.at(image, c) * q + f.bias.at(image, c) * s;
      op.shift[image * f.channels + c] = s;
    }
  }
  __syncthreads();
  for (Index g = thread / 32; g < f.groups; g += warps) {
    const float s = group_sum(f, weighted, g), q = group_sum(f, weighted + f.channels, g);
    if (thread % 32 == 0) {
      const auto count = float(f.pixels * size);
      means[(image * f.groups + g) * 2] = s / count;
      means[(image * f.groups + g) * 2 + 1] = q / count;
    }
  }
}

/// The gradients of weight and bias: sums over the images.
__global__ void __launch_bounds__(threads)
    gradient_weights_kernel(GroupNormGradient op, const float* sums) {
  const GroupNorm& f = op.forward;
  const Index c = Index(blockIdx.x) * threads + threadIdx.x;
  if (c >= f.channels)
    return;
  float weight = 0.0f, bias = 0.0f;
  for (Index image = 0; image < f.images; ++image) {
    const float factor = f.scale.present() ? 1.0f + f.scale.at(image, c) : 1.0f;
    bias += factor * sums[image * 2 * f.channels + c];
    weight += factor * sums[(image * 2 + 1) * f.channels + c];
  }
  op.weight[c] = weight;
  op.bias[c] = bias;
}

template <Element E, int V>
__global__ void __launch_bounds__(threads)
    gradient_apply_kernel(Width<E, V>, GroupNormGradient op, const float* means) {
  const GroupNorm& f = op.forward;
  const int thread = static_cast<int>(threadIdx.x);
  const Lanes<V> at(f.channels, thread);
  if (at.row >= at.rows)
    return;
  const Index image = blockIdx.y, start = image * f.pixels * at.vectors, size = f.group_size();
  const auto* x = static_cast<const Elements<E, V>*>(f.x) + start;
  const auto* dy = static_cast<const Elements<E, V>*>(op.gradient) + start;
  auto* out = static_cast<Elements<E, V>*>(op.out) + start;
  for (int vector = at.lane; vector < at.vectors; vector += at.lanes) {
    const GradientLane<V> lane(op, image, Index(vector) * V);
    float first[V], second[V];
    for (int j = 0; j < V; ++j) {
      const Index g = image * f.groups + (Index(vector) * V + j) / size;
      first[j] = means[2 * g];
      second[j] = means[2 * g + 1];
    }
    each_pixel<1>(f.pixels, at, [&](const Index(&p)[1], int) {
      const Elements<E, V> values = x[p[0] * at.vectors + vector];
      Elements<E, V> slopes = dy[p[0] * at.vectors + vector];
#pragma unroll
      for (int j = 0; j < V; ++j) {
        const float normal = (values.get(j) - lane.mean[j]) * lane.inverse[j];
        const float dz =
            op.template inner<E>(slopes.get(j), lane.gain[j] * normal + lane.offset[j]);
        slopes.set(j, lane.inverse[j] * (lane.gain[j] * dz - first[j] - normal * second[j]));
      }
      out[p[0] * at.vectors + vector] = slopes;
    });
  }
}

template <Element E, int V>
__global__ void __launch_bounds__(threads) channel_affine_kernel(Width<E, V>, ChannelAffine op) {
  const int thread = static_cast<int>(threadIdx.x);
  const Lanes<V> at(op.channels, thread);
  if (at.row >= at.rows)
    return;
  const Index image = blockIdx.y, start = image * op.pixels * at.vectors;
  const auto* x = static_cast<const Elements<E, V>*>(op.x) + start;
  const auto* add = static_cast<const Elements<E, V>*>(op.add) + start;
  auto* out = static_cast<Elements<E, V>*>(op.out) + start;
  for (int vector = at.lane; vector < at.vectors; vector += at.lanes) {
    float bias[V] = {}, scale[V];
    for (int j = 0; j < V; ++j) {
      const Index c = Index(vector) * V + j;
      bias[j] = op.bias.present() ? op.bias.at(image, c) : 0.0f;
      scale[j] = op.scale.present() ? op.scale.at(image, c) : 1.0f;
    }
    each_pixel<batch>(op.pixels, at, [&](const Index(&p)[batch], int count) {
      Elements<E, V> pack[batch], other[batch] = {};
#pragma unroll
      for (int k = 0; k < batch; ++k) {
        if (k >= count)
          break;
        pack[k] = x[p[k] * at.vectors + vector];
        if (op.add != nullptr)
          other[k] = add[p[k] * at.vectors + vector];
      }
#pragma unroll
      for (int k = 0; k < batch; ++k) {
        if (k >= count)
          break;
#pragma unroll
        for (int j = 0; j < V; ++j)
          pack[k].set(j, op.template value<E>(pack[k].get(j), bias[j], scale[j],
                                              op.add != nullptr ? other[k].get(j) : 0.0f));
        out[p[k] * at.vectors + vector] = pack[k];
      }
    });
  }
}

/// V elements a thread; the threads of a row share their sums.
template <Element E, int V>
__global__ void __launch_bounds__(threads) unit_rows_kernel(Width<E, V>, UnitRows op) {
  __shared__ float sums[threads];
  const int thread = static_cast<int>(threadIdx.x), lanes = static_cast<int>(op.size / V);
  const int rows = threads / lanes, lane = thread % lanes, row = thread / lanes;
  float scale[V];
  for (int j = 0; j < V; ++j)
    scale[j] = op.scale.at(0, lane * V + j);
  for (Index base = Index(blockIdx.x) * rows; base < op.rows; base += Index(gridDim.x) * rows) {
    const bool inside = row < rows && base + row < op.rows;
    const Index at = (base + row) * lanes + lane;
    Elements<E, V> pack{};
    if (inside)
      pack = static_cast<const Elements<E, V>*>(op.x)[at];
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < V; ++j)
      sum += pack.get(j) * pack.get(j);
    sums[thread] = sum;
    __syncthreads();
    if (inside) {
      float squares = 0.0f;
      for (int k = 0; k < lanes; ++k)
        squares += sums[row * lanes + k];
      const float inverse = UnitRows::inverse(squares);
#pragma unroll
      for (int j = 0; j < V; ++j)
        pack.set(j, pack.get(j) * inverse * scale[j]);
      static_cast<Elements<E, V>*>(op.out)[at] = pack;
    }
    __syncthreads();
  }
}

/// Blocks of an image, for about `wanted` blocks in all that have at least 4 pixels a thread.
int blocks_per_image(Index images, Index pixels, Index channels, int v, Index wanted) {
  const Index lanes = channels / v < threads ? channels / v : threads;
  const Index rows = threads / lanes, most = (pixels + 4 * rows - 1) / (4 * rows);
  Index blocks = (wanted + images - 1) / images;
  blocks = blocks < most ? blocks : most;
  return static_cast<int>(blocks < 1 ? 1 : blocks);
}

template <Element E, int V> void group_norm_of(GroupNorm op, float* partials, Cuda cuda) {
  const auto images = static_cast<unsigned>(op.images);
  const int parts = blocks_per_image(op.images, op.pixels, op.channels, V, 1024);
  op.parts = parts < GroupNorm::most_parts ? parts : GroupNorm::most_parts;
  const std::size_t channel_bytes = 2 * sizeof(float) * static_cast<std::size_t>(op.channels);
  group_sums_kernel<<<dim3(static_cast<unsigned>(op.parts), images), threads, channel_bytes,
                      cuda.stream>>>(Width<E, V>{}, op, partials);
  M3D_CUDA_CHECK(cudaGetLastError());
  const int blocks = blocks_per_image(op.images, op.pixels, op.channels, V, 2048);
  const std::size_t group_bytes = 2 * sizeof(float) * static_cast<std::size_t>(op.groups);
  group_apply_kernel<<<dim3(static_cast<unsigned>(blocks), images), threads, group_bytes,
                       cuda.stream>>>(Width<E, V>{}, op, partials);
  M3D_CUDA_CHECK(cudaGetLastError());
}

template <Element E, int V> void channel_affine_of(const ChannelAffine& op, Cuda cuda) {
  const int blocks = blocks_per_image(op.images, op.pixels, op.channels, V, 2048);
  channel_affine_kernel<<<dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(op.images)),
                          threads, 0, cuda.stream>>>(Width<E, V>{}, op);
  M3D_CUDA_CHECK(cudaGetLastError());
}

bool aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

/// Calls call.run<E, V>() with V of 16 bytes where the channels allow it, else 1.
template <template <Element, int> class Call, class... Arguments>
void with_width(Element element, Index channels, bool aligned, Arguments&&... arguments) {
  const bool wide = aligned && channels % (element == Element::f32 ? 4 : 8) == 0;
  if (element == Element::f32)
    wide ? Call<Element::f32, 4>::run(arguments...) : Call<Element::f32, 1>::run(arguments...);
  else if (element == Element::bf16)
    wide ? Call<Element::bf16, 8>::run(arguments...) : Call<Element::bf16, 1>::run(arguments...);
  else
    wide ? Call<Element::f16, 8>::run(arguments...) : Call<Element::f16, 1>::run(arguments...);
}

template <Element E, int V> struct RunGroupNorm {
  static void run(const GroupNorm& op, float* partials, Cuda cuda) {
    group_norm_of<E, V>(op, partials, cuda);
  }
};
template <Element E, int V> struct RunGroupNormGradient {
  static void run(GroupNormGradient op, float* partials, Cuda cuda) {
    GroupNorm& f = op.forward;
    const auto images = static_cast<unsigned>(f.images);
    const int parts = blocks_per_image(f.images, f.pixels, f.channels, V, 1024);
    f.parts = parts < GroupNormGradient::most_parts ? parts : GroupNormGradient::most_parts;
    float* const sums = partials + f.images * f.channels * 2 * f.parts;
    float* const means = sums + f.images * f.channels * 2;
    gradient_sums_kernel<<<dim3(static_cast<unsigned>(f.parts), images), threads, 0, cuda.stream>>>(
        Width<E, V>{}, op, partials);
    M3D_CUDA_CHECK(cudaGetLastError());
    const std::size_t bytes = 2 * sizeof(float) * static_cast<std::size_t>(f.channels);
    gradient_means_kernel<<<images, threads, bytes, cuda.stream>>>(op, partials, sums, means);
    M3D_CUDA_CHECK(cudaGetLastError());
    const auto some = static_cast<unsigned>((f.channels + threads - 1) / threads);
    gradient_weights_kernel<<<some, threads, 0, cuda.stream>>>(op, sums);
    M3D_CUDA_CHECK(cudaGetLastError());
    const int blocks = blocks_per_image(f.images, f.pixels, f.channels, V, 2048);
    gradient_apply_kernel<<<dim3(static_cast<unsigned>(blocks), images), threads, 0, cuda.stream>>>(
        Width<E, V>{}, op, means);
    M3D_CUDA_CHECK(cudaGetLastError());
  }
};
template <Element E, int V> struct RunChannelAffine {
  static void run(const ChannelAffine& op, Cuda cuda) { channel_affine_of<E, V>(op, cuda); }
};

template <Element E, int V> struct RunUnitRows {
  static void run(const UnitRows& op, Cuda cuda) {
    const Index rows = threads / (op.size / V), blocks = (op.rows + rows - 1) / rows;
    unit_rows_kernel<<<static_cast<unsigned>(blocks < 16384 ? blocks : 16384), threads, 0,
                       cuda.stream>>>(Width<E, V>{}, op);
    M3D_CUDA_CHECK(cudaGetLastError());
  }
};

void require_images(Index images) {
  if (images > 65535) // the second axis of a CUDA grid
    throw CudaError("`x` has too many images for CUDA");
}

} // namespace

void group_norm_cuda(const GroupNorm& op, float* partials, std::uintptr_t stream) {
  require_images(op.images);
  with_width<RunGroupNorm>(op.element, op.channels, aligned(op.x) && aligned(op.out), op, partials,
                           cuda_on(stream));
}

void group_norm_gradient_cuda(const GroupNormGradient& op, float* partials, std::uintptr_t stream) {
  require_images(op.forward.images);
  with_width<RunGroupNormGradient>(op.forward.element, op.forward.channels,
                                   aligned(op.forward.x) && aligned(op.gradient) && aligned(op.out),
                                   op, partials, cuda_on(stream));
}

void unit_rows_cuda(const UnitRows& op, std::uintptr_t stream) {
  with_width<RunUnitRows>(op.element, op.size, aligned(op.x) && aligned(op.out), op,
                          cuda_on(stream));
}

void channel_affine_cuda(const ChannelAffine& op, std::uintptr_t stream) {
  require_images(op.images);
  with_width<RunChannelAffine>(op.element, op.channels,
                               aligned(op.x) && aligned(op.out) && aligned(op.add), op,
                               cuda_on(stream));
}

} // namespace micro3d
