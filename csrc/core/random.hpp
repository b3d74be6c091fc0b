// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// Standard normals from Philox words, the same float32 arithmetic on CPU and CUDA.
//
// Two words (v, w) give two normals by Box and Muller (1958), and never inf or NaN:
//
//   u = (v >> 1) 2^-31 + 2^-32, rounded to float32: in [2^-32, 1]
//   theta = 2 pi w / 2^32
//   (sqrt(-2 ln u) cos theta, sqrt(-2 ln u) sin theta): up to 6.66 in absolute value
//
// The logarithm, sine and cosine are the Cephes float polynomials (a few ulp), without branches, so
// that a compiler can turn a loop of these into SIMD.
#include "core/config.hpp" // for M3D_HD
#include "core/philox.hpp" // for philox

#include <cmath>   // for sqrt
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

/// ln u for normal positive u.
M3D_HD float log_positive(float u) {
  const std::int32_t offset = static_cast<std::int32_t>(bits_of_float(u)) - 0x3f3504f3; // sqrt(1/2)
  const float k = static_cast<float>(offset >> 23);
  const float f =
      float_of_bits(static_cast<std::uint32_t>((offset & 0x7fffff) + 0x3f3504f3)) - 1.0f;
  const float z = f * f; // u = 2^k (1 + f), 1 + f in [sqrt(1/2), sqrt(2))
  float p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  p = p * f * z + k * -2.12194440e-4f;
  p = p - 0.5f * z;
  return (f + p) + k * 0.693359375f; // ln 2 in two parts
}

/// (cos, sin) of 2 pi turn / 2^32.
M3D_HD void cos_sin_of_turn(std::uint32_t turn, float& cosine, float& sine) {
  const std::uint32_t quadrant = (turn + 0x20000000u) >> 30;
  const float t = static_cast<float>(static_cast<std::int32_t>(turn - (quadrant << 30))) *
                  1.4629180792671596e-9f; // 2 pi / 2^32: t in [-pi/4, pi/4)
  const float z = t * t;
  const float s =
      ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * t + t;
  const float c =
      ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z -
      0.5f * z + 1.0f;
  const bool odd = (quadrant & 1u) != 0;
  cosine = float_of_bits(bits_of_float(odd ? s : c) ^ (((quadrant + 1u) & 2u) << 30));
  sine = float_of_bits(bits_of_float(odd ? c : s) ^ ((quadrant & 2u) << 30));
}

/// Two standard normals from two uniform words.
M3D_HD void box_muller(std::uint32_t v, std::uint32_t w, float& first, float& second) {
  const float u = static_cast<float>(static_cast<std::int32_t>(v >> 1)) * 4.656612873077393e-10f +
                  2.3283064365386963e-10f;
  const float radius = sqrtf(-2.0f * log_positive(u));
  float cosine, sine;
  cos_sin_of_turn(w, cosine, sine);
  first = radius * cosine;
  second = radius * sine;
}

/// The normals of the four voxels x = 4 block ... 4 block + 3 of row (c, z, y).
M3D_HD void normals_of_block(std::uint64_t seed, std::uint32_t draw, std::uint32_t c,
                             std::uint32_t z, std::uint32_t y, std::uint32_t block,
                             float normal[4]) {
  const PhiloxWords words = philox(block | (c << 24), y, z, draw, seed);
  box_muller(words.w[0], words.w[1], normal[0], normal[1]);
  box_muller(words.w[2], words.w[3], normal[2], normal[3]);
}

} // namespace micro3d
