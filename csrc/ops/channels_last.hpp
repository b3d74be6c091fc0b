// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// Layers of the network that move memory and compute little, on images in the channels-last layout:
// element (image, pixel, channel) lies at (image * pixels + pixel) * channels + channel.
#include "core/config.hpp" // for M3D_HD, Index
#include "core/half.hpp"   // for Element, from_bf16, ...

#include <cmath>   // for sqrtf
#include <cstdint> // for uintptr_t

namespace micro3d {

template <Element E> struct ElementOf {
  using type = std::uint16_t;
};
template <> struct ElementOf<Element::f32> {
  using type = float;
};

/// V neighbouring elements in memory.
template <Element E, int V> struct alignas(sizeof(typename ElementOf<E>::type) * V) Elements {
  typename ElementOf<E>::type v[V];

  M3D_HD float get(int j) const {
    if constexpr (E == Element::f32)
      return v[j];
    else
      return E == Element::bf16 ? from_bf16(v[j]) : from_f16(v[j]);
  }
  M3D_HD void set(int j, float value) {
    if constexpr (E == Element::f32)
      v[j] = value;
    else
      v[j] = E == Element::bf16 ? to_bf16(value) : to_f16(value);
  }
};

/// One number per channel, the same for all images (stride 0) or not.
struct PerChannel {
  const void* data; // null: absent
  Index stride;     // from image to image, in elements
  Element element;

  M3D_HD bool present() const { return data != nullptr; }
  M3D_HD float at(Index image, Index channel) const {
    const Index i = image * stride + channel;
    if (element == Element::f32)
      return static_cast<const float*>(data)[i];
    const std::uint16_t h = static_cast<const std::uint16_t*>(data)[i];
    return element == Element::bf16 ? from_bf16(h) : from_f16(h);
  }
};

/// exp(x) of x limited to [-87, 87], to 2 units of the last place, or to 2^-13 where a 16-bit
/// result follows: loops that use it become SIMD, as a call of the C library's would not.
template <Element E> M3D_HD float exp_without_calls(float x) {
  constexpr float shifter = 12582912.0f; // 1.5 * 2^23: the sum's last mantissa bits are an integer
  const std::uint32_t bits = bits_of_float(x), size = bits & 0x7fffffffu;
  x = float_of_bits((size < 0x42ae0000u ? size : 0x42ae0000u) | (bits & 0x80000000u));
  const float y = x * 1.44269504f, shifted = y + shifter, n = shifted - shifter;
  float p;
  if constexpr (E == Element::f32) { // the method and coefficients of Cephes' expf
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = (p * r) * r + r + 1.0f;
  } else { // least relative error of 2^r, -1/2 <= r <= 1/2
    const float r = y - n;
    p = 0.055171669f;
    p = p * r + 0.24260851f;
    p = p * r + 0.69326292f;
    p = p * r + 0.99992522f;
  }
  return float_of_bits(bits_of_float(p) + (bits_of_float(shifted) << 23)); // p * 2^n
}

/// 1 / (1 + exp(-x)), to 2^-11 where a 16-bit result follows: one instruction instead of two.
template <Element E> M3D_HD float sigmoid(float x) {
#ifdef __CUDA_ARCH__
  if (E == Element::f32)
    return __fdividef(1.0f, 1.0f + __expf(-x));
  float tanh;
  asm("tanh.approx.f32 %0, %1;" : "=f"(tanh) : "f"(0.5f * x));
  return 0.5f + 0.5f * tanh;
#else
  return 1.0f / (1.0f + exp_without_calls<E>(-x));
#endif
}
template <Element E> M3D_HD float silu(float x) { return x * sigmoid<E>(x); }

/// The derivative of silu.
template <Element E> M3D_HD float silu_slope(float x) {
  const float s = sigmoid<E>(x);
  return s + x * s * (1.0f - s);
}

/// GroupNorm of x + before, then weight and bias, (1 + scale) and shift, SiLU.
struct GroupNorm {
  const void* x;
  void* out; // may be x
  Element element;
  Index images, pixels, channels, groups;
  PerChannel before, weight, bias, scale, shift;
  float epsilon;
  bool silu;
  float* statistics; // null or [images, groups, 2]: receives mean and 1 / deviation
  int parts;         // of the pixels of an image, summed separately on CUDA

  static constexpr int most_parts = 64;

  M3D_HD Index group_size() const { return channels / groups; }

  /// y = gain * x + offset of a channel, from the mean and 1 / deviation of its group.
  M3D_HD void affine(Index image, Index c, float mean, float inverse, float& gain,
                     float& offset) const {
    gain = inverse * weight.at(image, c);
    offset = bias.at(image, c) - mean * gain;
    if (before.present())
      offset += before.at(image, c) * gain;
    if (scale.present()) {
      const float factor = 1.0f + scale.at(image, c);
      gain *= factor;
      offset = offset * factor + shift.at(image, c);
    }
  }
  template <Element E> M3D_HD float value(float x, float gain, float offset) const {
    const float y = gain * x + offset;
    return silu ? micro3d::silu<E>(y) : y;
  }
};

/// The gradients of GroupNorm (without `before`), from that of its result.
struct GroupNormGradient {
  GroupNorm forward; // its out is not written
  const void* gradient;
  void* out;            // of x
  float *weight, *bias; // [channels]: gradients
  float *scale, *shift; // [images, channels] or null
  static constexpr int most_parts = 16;

  /// Of a channel: normalized = (x - mean) * inverse, z = gain * normalized + offset.
  M3D_HD void affine(Index image, Index c, float& gain, float& offset) const {
    gain = forward.weight.at(image, c);
    offset = forward.bias.at(image, c);
    if (forward.scale.present()) {
      const float factor = 1.0f + forward.scale.at(image, c);
      gain *= factor;
      offset = offset * factor + forward.shift.at(image, c);
    }
  }
  /// The gradient of z.
  template <Element E> M3D_HD float inner(float gradient_, float z) const {
    return forward.silu ? gradient_ * silu_slope<E>(z) : gradient_;
  }
};

/// out = (x + bias) * scale + add, then SiLU; every term but x may be absent.
struct ChannelAffine {
  const void *x, *add; // add: null or like x
  void* out;           // may be x or add
  Element element;
  Index images, pixels, channels;
  PerChannel bias, scale;
  bool silu;

  template <Element E> M3D_HD float value(float x, float bias_, float scale_, float add_) const {
    const float y = (x + bias_) * scale_ + add_;
    return silu ? micro3d::silu<E>(y) : y;
  }
};

/// out = scale x / |x| of every row of `size` numbers, rows one after the other.
struct UnitRows {
  const void* x;
  void* out; // may be x
  Element element;
  Index rows, size;
  PerChannel scale;

  M3D_HD static float inverse(float squares) {
    const float length = sqrtf(squares);
    return 1.0f / (length > 1e-12f ? length : 1e-12f);
  }
};

// channels_last.cpp, channels_last.cu; partials: images * groups * 3 * most_parts floats
void group_norm_cpu(const GroupNorm& op, int threads);
void group_norm_cuda(const GroupNorm& op, float* partials, std::uintptr_t stream);
// partials: images * channels * 2 * (most_parts + 1) + images * groups * 2 floats
void group_norm_gradient_cpu(const GroupNormGradient& op, int threads);
void group_norm_gradient_cuda(const GroupNormGradient& op, float* partials, std::uintptr_t stream);
void channel_affine_cpu(const ChannelAffine& op, int threads);
void channel_affine_cuda(const ChannelAffine& op, std::uintptr_t stream);
void unit_rows_cpu(const UnitRows& op, int threads);
void unit_rows_cuda(const UnitRows& op, std::uintptr_t stream);

} // namespace micro3d
