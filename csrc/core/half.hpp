// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// float32 <-> bfloat16 and float16, round to nearest even: the same bits on every backend (of a NaN
// only that it is one). On the host by integer arithmetic without branches, so that loops become
// SIMD; on a GPU by its instructions.
#include "core/random.hpp" // for float_of_bits

namespace micro3d {

enum class Element : std::int32_t { f32, bf16, f16 };

M3D_HD float from_bf16(std::uint16_t h) {
  return float_of_bits(static_cast<std::uint32_t>(h) << 16);
}

M3D_HD std::uint16_t to_bf16(float value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  std::uint16_t h;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(value));
  return h;
#else
  const std::uint32_t bits = bits_of_float(value);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t nan = (bits >> 16) | 0x40u;
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
#endif
}

/// Two of them in a word, as memory has them.
M3D_HD std::uint32_t to_bf16_pair(float first, float second) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
#else
  return to_bf16(first) | static_cast<std::uint32_t>(to_bf16(second)) << 16;
#endif
}

M3D_HD float from_f16(std::uint16_t h) {
#ifdef __CUDA_ARCH__
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(h));
  return value;
#else
  const std::uint32_t sign = (static_cast<std::uint32_t>(h) & 0x8000u) << 16;
  const std::uint32_t magnitude = (static_cast<std::uint32_t>(h) & 0x7fffu) << 13;
  // Normal numbers get their exponent moved; subnormal ones are an integer times 2^-24.
  const std::uint32_t normal = magnitude + 0x38000000u;
  const std::uint32_t infinite = magnitude | 0x7f800000u;
  const float tiny = static_cast<float>(static_cast<std::int32_t>(magnitude >> 13)) * 0x1p-24f;
  const std::uint32_t bits = magnitude >= 0x0f800000u   ? infinite
                             : magnitude >= 0x00800000u ? normal
                                                        : bits_of_float(tiny);
  return float_of_bits(bits | sign);
#endif
}

M3D_HD std::uint16_t to_f16(float value) {
#ifdef __CUDA_ARCH__
  std::uint16_t h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(value));
  return h;
#else
  const std::uint32_t bits = bits_of_float(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // Below 2^-14: adding 0.5 leaves the rounded multiple of 2^-24 in the low mantissa bits.
  const std::uint32_t tiny = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
  const std::uint32_t huge = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u; // NaN, infinity
  const std::uint32_t h = magnitude >= 0x477ff000u ? huge : magnitude < 0x38800000u ? tiny : normal;
  return static_cast<std::uint16_t>(h | sign);
#endif
}

M3D_HD std::uint32_t to_f16_pair(float first, float second) {
  return to_f16(first) | static_cast<std::uint32_t>(to_f16(second)) << 16;
}

} // namespace micro3d
