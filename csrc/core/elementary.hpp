// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// Logarithm and exponential, the same float32 arithmetic on CPU and CUDA: polynomials of a few ulp,
// without branches, so that a compiler can turn a loop of these into SIMD.
#include "core/config.hpp" // for M3D_HD

#include <cmath>   // for rint
#include <cstdint> // for uint32_t
#include <cstring> // for memcpy

namespace micro3d {

M3D_HD float float_of_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
M3D_HD std::uint32_t bits_of_float(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

/// -ln u for normal positive u.
M3D_HD float minus_log(float u) {
  const std::int32_t offset = static_cast<std::int32_t>(bits_of_float(u)) - 0x3f3504f3; // sqrt(1/2)
  const float k = static_cast<float>(offset >> 23);
  const float f =
      float_of_bits(static_cast<std::uint32_t>((offset & 0x7fffff) + 0x3f3504f3)) - 1.0f;
  const float z = f * f;       // u = 2^k (1 + f), 1 + f in [sqrt(1/2), sqrt(2))
  float p = -0.0870045280317f; // minimax, 3e-8 of the logarithm
  p = p * f + 0.142674914614f;
  p = p * f - 0.149147642689f;
  p = p * f + 0.165775840391f;
  p = p * f - 0.199630640630f;
  p = p * f + 0.250013370575f;
  p = p * f - 0.333339107315f;
  p = (p * f + 0.5f) * z - f;
  return p - k * 0.69314718056f;
}

/// exp v, for v from -87 to 87.
M3D_HD float exponential(float v) {
  const float k = rintf(v * 1.44269504f);
  const float f = (v - k * 0.693359375f) + k * 2.12194440e-4f; // ln 2 in two parts; |f| < .35
  float p = 1.0f / 5040.0f;                                    // Taylor's series, 5e-9
  p = p * f + 1.0f / 720.0f;
  p = p * f + 1.0f / 120.0f;
  p = p * f + 1.0f / 24.0f;
  p = p * f + 1.0f / 6.0f;
  p = p * f + 0.5f;
  p = (p * f + 1.0f) * f + 1.0f;
  return p * float_of_bits(static_cast<std::uint32_t>(static_cast<std::int32_t>(k) + 127) << 23);
}

} // namespace micro3d
