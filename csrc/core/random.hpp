// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// Standard normals from Philox words, the same float32 arithmetic on CPU and CUDA.
//
// Two words (v, w) give two normals by Box and Muller (1958), and never inf or NaN:
//
//   u = (v >> 1) 2^-31 + 2^-32, rounded to float32: in [2^-32, 1]
//   theta = (pi / 4) (1 + (w << 2) 2^-31), w << 2 taken as a signed number: in [0, pi / 2)
//   (+- sqrt(-2 ln u) cos theta, +- sqrt(-2 ln u) sin theta): up to 6.66 in absolute value
//
// where the two highest bits of w are the two signs. Polynomials of a few ulp, without branches.
#include "core/config.hpp"     // for M3D_HD
#include "core/elementary.hpp" // for minus_log, float_of_bits, bits_of_float
#include "core/philox.hpp"     // for philox

#include <cmath> // for sqrt

namespace micro3d {

/// Two standard normals from two uniform words.
M3D_HD void box_muller(std::uint32_t v, std::uint32_t w, float& first, float& second) {
  const float u = static_cast<float>(static_cast<std::int32_t>(v >> 1)) * 4.656612873077393e-10f +
                  2.3283064365386963e-10f;
  const float radius = sqrtf(minus_log(u)); // without the factor sqrt(2), which is below
  const float t = static_cast<float>(static_cast<std::int32_t>(w << 2)) * 3.6572951981689e-10f;
  const float z = t * t; // t = theta - pi / 4, in [-pi / 4, pi / 4)
  const float s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * t + t;
  const float c =
      ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z -
      0.5f * z + 1.0f;
  first = radius * (c - s); // sqrt(2) cos(t + pi / 4)
  second = radius * (c + s);
  first = float_of_bits(bits_of_float(first) ^ (w & 0x80000000u));
  second = float_of_bits(bits_of_float(second) ^ ((w << 1) & 0x80000000u));
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
