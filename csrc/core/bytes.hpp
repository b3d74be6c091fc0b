// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// Four or eight labels at a time, in one register.
#include "core/config.hpp" // for Index, M3D_HD

#include <cstdint> // for uint32_t
#include <cstring> // for memcpy

namespace micro3d {

/// sizeof(T) bytes from an address that is a multiple of it: one load.
template <class T> M3D_HD T load_aligned(const std::uint8_t* p) {
  T value;
#if defined(__CUDACC__) || defined(__GNUC__) || defined(__clang__)
  std::memcpy(&value, __builtin_assume_aligned(p, sizeof(T)), sizeof(T));
#else
  std::memcpy(&value, p, sizeof(T));
#endif
  return value;
}

/// Whether an address is a multiple of `bytes`, a power of two.
M3D_HD bool is_aligned(const void* p, unsigned bytes) {
  return (reinterpret_cast<std::uintptr_t>(p) & (bytes - 1)) == 0;
}

/// 8 bits: which of the 8 bytes differ. Little-endian, as every CUDA host and device.
M3D_HD std::uint32_t differing_bytes(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t low7 = 0x7f7f7f7f7f7f7f7fu;
  const std::uint64_t x = a ^ b;
  const std::uint64_t high = (((x & low7) + low7) | x) & ~low7; // bit 7 of every nonzero byte
  return static_cast<std::uint32_t>(((high >> 7) * 0x0102040810204080u) >> 56);
}

/// The largest of n bytes, 0 of none; on the host.
inline int largest_byte(const std::uint8_t* p, Index n) {
  std::uint8_t most = 0;
  for (Index i = 0; i < n; ++i) // becomes SIMD
    most = p[i] > most ? p[i] : most;
  return most;
}

/// Bit 0 of every byte that is not zero.
M3D_HD std::uint32_t nonzero_bytes(std::uint32_t x) {
  constexpr std::uint32_t low7 = 0x7f7f7f7fu;
  return ((((x & low7) + low7) | x) >> 7) & 0x01010101u;
}

/// Numbers of the lowest and of the highest set bit; x is not zero.
M3D_HD int lowest_bit(std::uint32_t x) {
#if defined(__CUDA_ARCH__)
  return __ffs(static_cast<int>(x)) - 1;
#elif defined(__GNUC__) || defined(__clang__)
  return __builtin_ctz(x);
#else
  int n = 0;
  while ((x >> n & 1u) == 0)
    ++n;
  return n;
#endif
}
M3D_HD int highest_bit(std::uint32_t x) {
#if defined(__CUDA_ARCH__)
  return 31 - __clz(static_cast<int>(x));
#elif defined(__GNUC__) || defined(__clang__)
  return 31 - __builtin_clz(x);
#else
  int n = 31;
  while (x >> n == 0)
    --n;
  return n;
#endif
}

} // namespace micro3d
