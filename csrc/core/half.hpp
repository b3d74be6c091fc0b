// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// float32 <-> bfloat16 and float16, round to nearest even, by integer arithmetic: the same bits on
// every backend, and no branches, so that loops become SIMD.
#include "core/random.hpp" // for float_of_bits

namespace micro3d {

enum class Element : std::int32_t { f32, bf16, f16 };

M3D_HD float from_bf16(std::uint16_t h) {
  return float_of_bits(static_cast<std::uint32_t>(h) << 16);
}

M3D_HD std::uint16_t to_bf16(float value) {
  const std::uint32_t bits = bits_of_float(value);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t nan = (bits >> 16) | 0x40u;
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

M3D_HD float from_f16(std::uint16_t h) {
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
}

M3D_HD std::uint16_t to_f16(float value) {
  const std::uint32_t bits = bits_of_float(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // Below 2^-14: adding 0.5 leaves the rounded multiple of 2^-24 in the low mantissa bits.
  const std::uint32_t tiny = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
  const std::uint32_t huge = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u; // NaN, infinity
  const std::uint32_t h = magnitude >= 0x477ff000u ? huge : magnitude < 0x38800000u ? tiny : normal;
  return static_cast<std::uint16_t>(h | sign);
}

} // namespace micro3d
