// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// Loops compiled for several instruction sets; the best one that the processor has is chosen once,
// at run time.
//
//   template <class T> struct Scale { static M3D_BODY void run(T* x, Index n) { loops } };
//   in_best_isa<Scale<float>>(x, n);
//
// The body is inlined into two functions that differ only in their target attribute, so a wheel
// built for the oldest processor still uses wide vectors on newer ones. No ifuncs: they fail under
// sanitizers and on other systems. AVX-512 gained nothing measurable over AVX2 for such loops (on a
// Zen 4); code with its own intrinsics for it, as bit_correlation.cpp, calls best_isa().
#include "core/config.hpp" // for Index

#include <cstdlib> // for getenv
#include <cstring> // for strcmp

namespace micro3d {

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) && !defined(__CUDACC__)
#define M3D_X86 1
#define M3D_BODY inline __attribute__((always_inline))
#define M3D_INLINED __attribute__((always_inline)) // of a lambda in a body
#define M3D_AVX2 __attribute__((target("avx2,fma,popcnt")))
#define M3D_AVX512 __attribute__((target("avx512f,avx512bw,avx512vpopcntdq,fma,popcnt")))
#else
#define M3D_X86 0
#define M3D_BODY inline
#define M3D_INLINED
#endif

enum class Isa { baseline, avx2, avx512 };

/// The best instruction set of this processor, or less: the environment variable MICRO3D_ISA
/// (baseline or avx2) limits it, for tests.
inline Isa best_isa() {
#if M3D_X86
  static const Isa isa = [] {
    const char* const limit = std::getenv("MICRO3D_ISA");
    const auto limited_to = [&](const char* name) { return limit && !std::strcmp(limit, name); };
    __builtin_cpu_init();
    if (limited_to("baseline") || !__builtin_cpu_supports("avx2") ||
        !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("popcnt"))
      return Isa::baseline;
    if (limited_to("avx2") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vpopcntdq"))
      return Isa::avx2;
    return Isa::avx512;
  }();
  return isa;
#else
  return Isa::baseline;
#endif
}

#if M3D_X86
template <class Body, class... Args> M3D_AVX2 void run_avx2(Args... args) { Body::run(args...); }
#endif
template <class Body, class... Args> void run_baseline(Args... args) { Body::run(args...); }

/// Body::run(args...), compiled for AVX2 or for the baseline. Arguments are passed by value.
template <class Body, class... Args> void in_best_isa(Args... args) {
#if M3D_X86
  if (best_isa() != Isa::baseline)
    return run_avx2<Body>(args...);
#endif
  run_baseline<Body>(args...);
}

} // namespace micro3d
