// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// One walk, compiled for several instruction sets, chosen once at run time.
//
//   template <class T> struct Scale { static M3D_BODY void run(T* x, Index n) { loops } };
//   in_best_isa<Scale<float>>(x, n);
//
// The body is always inlined into two functions that differ in their target attribute alone, so a
// wheel built for the oldest machine still uses wide vectors where there are some. No ifuncs: those
// fail under sanitizers and on other systems. (AVX-512 gained nothing measurable over AVX2 here, on
// a Zen 4, and half as much again in compile time.)
#include "core/config.hpp" // for Index

namespace micro3d {

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) && !defined(__CUDACC__)
#define M3D_ISA_DISPATCH 1
#define M3D_BODY inline __attribute__((always_inline))
#define M3D_TARGET_AVX2 __attribute__((target("avx2,fma")))
#else
#define M3D_ISA_DISPATCH 0
#define M3D_BODY inline
#endif

enum class Isa { baseline, avx2 };

/// The best instruction set that this machine has.
inline Isa best_isa() {
#if M3D_ISA_DISPATCH
  static const Isa isa = [] {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
      return Isa::avx2;
    return Isa::baseline;
  }();
  return isa;
#else
  return Isa::baseline;
#endif
}

#if M3D_ISA_DISPATCH
template <class Body, class... Args> M3D_TARGET_AVX2 void run_avx2(Args... args) {
  Body::run(args...);
}
#endif
template <class Body, class... Args> void run_baseline(Args... args) { Body::run(args...); }

/// Body::run(args...), compiled for the best instruction set. Arguments are passed by value.
template <class Body, class... Args> void in_best_isa(Args... args) {
#if M3D_ISA_DISPATCH
  if (best_isa() == Isa::avx2)
    return run_avx2<Body>(args...);
#endif
  run_baseline<Body>(args...);
}

} // namespace micro3d
