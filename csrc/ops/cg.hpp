// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/config.hpp" // for M3D_HD, Index
#include "core/reduce.hpp" // for Pack, take_pack, store_pack, moves_wide

#include <cstdint> // for uint8_t

namespace micro3d {

// The vector half of a conjugate gradient iteration, in two walks over memory. Fields are
// [loads, n]; the scalars of every load stay in memory (on the device), so no transfer is waited
// for.

/// x += a p, r -= a q, a = rz / pq; returns r.r. A load with pq = 0 is left unchanged.
template <class T> struct CgUpdate {
  static constexpr int width = 16 / sizeof(T);
  T *x, *r;
  const T *p, *q;
  Index n;
  const double *rz, *pq; // [loads]

  struct Load {
    T a, *x, *r;
    const T *p, *q;

    template <int W> M3D_HD double take(Index i) const { // all is read before anything is written
      Pack<T, W> vx = take_pack<W>(x + i), vr = take_pack<W>(r + i);
      const Pack<T, W> vp = take_pack<W>(p + i), vq = take_pack<W>(q + i);
      double sum = 0.0;
      for (int k = 0; k < W; ++k) {
        vx.v[k] += a * vp.v[k];
        vr.v[k] -= a * vq.v[k];
        sum += double(vr.v[k]) * double(vr.v[k]);
      }
      store_pack(x + i, vx);
      store_pack(r + i, vr);
      return sum;
    }
    M3D_HD double operator()(Index i) const { return take<1>(i); }
  };
  M3D_HD Load for_load(Index load) const {
    const Index k = load * n;
    return {pq[load] > 0.0 ? T(rz[load] / pq[load]) : T(0), x + k, r + k, p + k, q + k};
  }
  bool wide() const { return moves_wide<T>(n, x, r, p, q); }
};

/// p = z + b p, b = rz / rz_before (0 at the first step), and 0 outside the mask.
template <class T> struct CgDirection {
  static constexpr int width = 16 / sizeof(T);
  T* p;
  const T* z;
  const std::uint8_t* mask; // [n] or null
  Index n;
  const double *rz, *rz_before; // [loads]

  struct Load {
    T b, *p;
    const T* z;
    const std::uint8_t* mask;

    template <int W> M3D_HD double take(Index i) const {
      Pack<T, W> vp = take_pack<W>(p + i);
      const Pack<T, W> vz = take_pack<W>(z + i);
      for (int k = 0; k < W; ++k)
        vp.v[k] = mask == nullptr || mask[i + k] != 0 ? vz.v[k] + b * vp.v[k] : T(0);
      store_pack(p + i, vp);
      return 0.0;
    }
    M3D_HD double operator()(Index i) const { return take<1>(i); }
  };
  M3D_HD Load for_load(Index load) const {
    const Index k = load * n;
    return {rz_before[load] > 0.0 ? T(rz[load] / rz_before[load]) : T(0), p + k, z + k, mask};
  }
  bool wide() const { return moves_wide<T>(n, p, z); }
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
  static constexpr int width = 16 / sizeof(T);
  const T *x, *y;
  Index n;

  struct Load {
    const T *x, *y;

    template <int W> M3D_HD double take(Index i) const {
      const Pack<T, W> vx = take_pack<W>(x + i), vy = take_pack<W>(y + i);
      double sum = 0.0;
      for (int k = 0; k < W; ++k)
        sum += double(vx.v[k]) * double(vy.v[k]);
      return sum;
    }
    M3D_HD double operator()(Index i) const { return take<1>(i); }
  };
  M3D_HD Load for_load(Index load) const { return {x + load * n, y + load * n}; }
  bool wide() const { return moves_wide<T>(n, x, y); }
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
