// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/config.hpp" // for M3D_HD, Index

#include <cstdint> // for uint8_t

namespace micro3d {

// The vector half of a conjugate gradient iteration, in two walks over memory. Fields are
// [loads, n]; the scalars of every load stay in memory (on the device), so no transfer is waited
// for.

/// x += a p, r -= a q, a = rz / pq; returns r.r. A load with pq = 0 is left unchanged.
template <class T> struct CgUpdate {
  T *x, *r;
  const T *p, *q;
  Index n;
  const double *rz, *pq; // [loads]

  M3D_HD double operator()(Index load, Index i) const {
    const T a = pq[load] > 0.0 ? T(rz[load] / pq[load]) : T(0);
    const Index k = load * n + i;
    x[k] += a * p[k];
    const T value = r[k] - a * q[k];
    r[k] = value;
    return double(value) * double(value);
  }
};

/// p = z + b p, b = rz / rz_before (0 at the first step), and 0 outside the mask.
template <class T> struct CgDirection {
  T* p;
  const T* z;
  const std::uint8_t* mask; // [n] or null
  Index n;
  const double *rz, *rz_before; // [loads]

  M3D_HD double operator()(Index load, Index i) const {
    const T b = rz_before[load] > 0.0 ? T(rz[load] / rz_before[load]) : T(0);
    const Index k = load * n + i;
    const T value = z[k] + b * p[k];
    p[k] = mask == nullptr || mask[i] != 0 ? value : T(0);
    return 0.0;
  }
};

/// (x, low) := x + low as an unevaluated sum: x is the sum rounded, low what the rounding lost.
struct TwoSum {
  float *x, *low;

  M3D_HD double operator()(Index, Index i) const {
    const double sum = double(x[i]) + double(low[i]);
    x[i] = float(sum);
    low[i] = float(sum - double(x[i]));
    return 0.0;
  }
};

/// x.y in double precision.
template <class T> struct Dot {
  const T *x, *y;
  Index n;

  M3D_HD double operator()(Index load, Index i) const {
    return double(x[load * n + i]) * double(y[load * n + i]);
  }
};

// cg.cpp; with partials (scratch of loads * reduce_partials doubles) cg.cu
template <class T> void cg_update_cpu(Index loads, const CgUpdate<T>& op, double* rr, int threads);
template <class T>
void cg_update_cuda(Index loads, const CgUpdate<T>& op, double* rr, double* partials,
                    std::uintptr_t stream);
template <class T> void cg_direction_cpu(Index loads, const CgDirection<T>& op, int threads);
template <class T>
void cg_direction_cuda(Index loads, const CgDirection<T>& op, std::uintptr_t stream);
void two_sum_cpu(Index n, const TwoSum& op, int threads);
void two_sum_cuda(Index n, const TwoSum& op, std::uintptr_t stream);
template <class T> void dot_cpu(Index loads, const Dot<T>& op, double* sum, int threads);
template <class T>
void dot_cuda(Index loads, const Dot<T>& op, double* sum, double* partials, std::uintptr_t stream);

} // namespace micro3d
