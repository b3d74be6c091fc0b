// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/config.hpp" // for Index
#include "core/simd.hpp"   // for M3D_BODY

#include <cmath>   // for cos, sin
#include <utility> // for swap
#include <vector>  // for vector

namespace micro3d {

// Fourier transforms of many columns at a time, on the CPU: element j of lane l is number
// j * lanes + l of a buffer, real and imaginary parts in buffers of their own. All loops run over
// the lanes, so they vectorize for any length.

/// A cache line of numbers.
template <class T> constexpr int fft_lanes = 64 / int(sizeof(T));

/// Whether the length has no prime factor above 13 (other lengths are left to other libraries).
inline bool fft_takes(Index n) {
  for (const int f : {2, 3, 5, 7, 11, 13})
    while (n > 1 && n % f == 0)
      n /= f;
  return n == 1;
}

/// Stockham's transform, decimation in frequency: a pass of radix r takes element
/// q + s (p + m j), j < r, to q + s (r p + k), times exp(-2 pi i p k / (r m)); s is the product of
/// the radices before, m of those after.
template <class T> struct FftPlan {
  struct Pass {
    int radix;
    Index m, s;
    std::size_t twiddles; // where they start; radix - 1 pairs for each p
  };
  Index n;
  std::vector<Pass> passes;
  std::vector<T> table;     // cos, -sin
  std::vector<T> roots[14]; // of odd radices: cos, -sin of 2 pi k / r

  explicit FftPlan(Index length) : n(length) {
    Index rest = length, s = 1;
    while (rest > 1) {
      int r = 2;
      for (const int f : {4, 5, 3, 2, 7, 11, 13})
        if (rest % f == 0) {
          r = f;
          break;
        }
      const Index m = rest / r;
      passes.push_back({r, m, s, table.size()});
      for (Index p = 0; p < m; ++p)
        for (int k = 1; k < r; ++k)
          add(table, p * k, rest);
      if (r > 5 && roots[r].empty())
        for (int k = 0; k < r; ++k)
          add(roots[r], k, r);
      rest = m;
      s *= r;
    }
  }

 private:
  static void add(std::vector<T>& to, Index k, Index of) {
    const double angle = 2.0 * 3.14159265358979323846 * double(k % of) / double(of);
    to.push_back(T(std::cos(angle)));
    to.push_back(T(-std::sin(angle)));
  }
};

/// The transform of `lanes` columns; x and y are buffers of n * lanes, the result is where x points
/// to afterwards. The transform back, not divided by n, is that with re and im exchanged.
template <class T> struct FftBody {
  static constexpr int L = fft_lanes<T>;

  static M3D_BODY void run(const FftPlan<T>* plan, T** xr, T** xi, T** yr, T** yi) {
    for (const auto& pass : plan->passes) {
      const T* w = plan->table.data() + pass.twiddles;
      if (pass.radix == 4)
        radix4(pass.m, pass.s, w, *xr, *xi, *yr, *yi);
      else if (pass.radix == 2)
        radix2(pass.m, pass.s, w, *xr, *xi, *yr, *yi);
      else if (pass.radix == 3)
        radix3(pass.m, pass.s, w, *xr, *xi, *yr, *yi);
      else if (pass.radix == 5)
        radix5(pass.m, pass.s, w, *xr, *xi, *yr, *yi);
      else
        odd(pass.radix, pass.m, pass.s, w, plan->roots[pass.radix].data(), *xr, *xi, *yr, *yi);
      std::swap(*xr, *yr);
      std::swap(*xi, *yi);
    }
  }

 private:
  static M3D_BODY void radix2(Index m, Index s, const T* w, const T* xr, const T* xi, T* yr,
                              T* yi) {
    for (Index p = 0; p < m; ++p, w += 2) {
      const T c1 = w[0], s1 = w[1];
      const T *ar = xr + s * p * L, *ai = xi + s * p * L;
      const Index j = s * m * L, k = s * L;
      T *M3D_RESTRICT br = yr + 2 * s * p * L, *M3D_RESTRICT bi = yi + 2 * s * p * L;
      for (Index q = 0; q < k; q += L) {
#pragma omp simd
        for (int l = 0; l < L; ++l) {
          const Index i = q + l;
          const T r0 = ar[i], i0 = ai[i], r1 = ar[i + j], i1 = ai[i + j];
          const T dr = r0 - r1, di = i0 - i1;
          br[i] = r0 + r1;
          bi[i] = i0 + i1;
          br[i + k] = dr * c1 - di * s1;
          bi[i + k] = dr * s1 + di * c1;
        }
      }
    }
  }

  static M3D_BODY void radix3(Index m, Index s, const T* w, const T* xr, const T* xi, T* yr,
                              T* yi) {
    constexpr T half = T(0.5), sine = T(0.86602540378443864676);
    for (Index p = 0; p < m; ++p, w += 4) {
      const T c1 = w[0], s1 = w[1], c2 = w[2], s2 = w[3];
      const T *ar = xr + s * p * L, *ai = xi + s * p * L;
      const Index j = s * m * L, k = s * L;
      T *M3D_RESTRICT br = yr + 3 * s * p * L, *M3D_RESTRICT bi = yi + 3 * s * p * L;
      for (Index q = 0; q < k; q += L) {
#pragma omp simd
        for (int l = 0; l < L; ++l) {
          const Index i = q + l;
          const T r0 = ar[i], i0 = ai[i];
          const T tr = ar[i + j] + ar[i + 2 * j], ti = ai[i + j] + ai[i + 2 * j];
          const T ur = sine * (ar[i + j] - ar[i + 2 * j]), ui = sine * (ai[i + j] - ai[i + 2 * j]);
          const T vr = r0 - half * tr, vi = i0 - half * ti;
          const T r1 = vr + ui, i1 = vi - ur, r2 = vr - ui, i2 = vi + ur;
          br[i] = r0 + tr;
          bi[i] = i0 + ti;
          br[i + k] = r1 * c1 - i1 * s1;
          bi[i + k] = r1 * s1 + i1 * c1;
          br[i + 2 * k] = r2 * c2 - i2 * s2;
          bi[i + 2 * k] = r2 * s2 + i2 * c2;
        }
      }
    }
  }

  static M3D_BODY void radix4(Index m, Index s, const T* w, const T* xr, const T* xi, T* yr,
                              T* yi) {
    for (Index p = 0; p < m; ++p, w += 6) {
      const T c1 = w[0], s1 = w[1], c2 = w[2], s2 = w[3], c3 = w[4], s3 = w[5];
      const T *ar = xr + s * p * L, *ai = xi + s * p * L;
      const Index j = s * m * L, k = s * L;
      T *M3D_RESTRICT br = yr + 4 * s * p * L, *M3D_RESTRICT bi = yi + 4 * s * p * L;
      for (Index q = 0; q < k; q += L) {
#pragma omp simd
        for (int l = 0; l < L; ++l) {
          const Index i = q + l;
          const T er = ar[i] + ar[i + 2 * j], ei = ai[i] + ai[i + 2 * j];
          const T fr = ar[i] - ar[i + 2 * j], fi = ai[i] - ai[i + 2 * j];
          const T gr = ar[i + j] + ar[i + 3 * j], gi = ai[i + j] + ai[i + 3 * j];
          const T hr = ar[i + j] - ar[i + 3 * j], hi = ai[i + j] - ai[i + 3 * j];
          const T r1 = fr + hi, i1 = fi - hr, r2 = er - gr, i2 = ei - gi, r3 = fr - hi,
                  i3 = fi + hr;
          br[i] = er + gr;
          bi[i] = ei + gi;
          br[i + k] = r1 * c1 - i1 * s1;
          bi[i + k] = r1 * s1 + i1 * c1;
          br[i + 2 * k] = r2 * c2 - i2 * s2;
          bi[i + 2 * k] = r2 * s2 + i2 * c2;
          br[i + 3 * k] = r3 * c3 - i3 * s3;
          bi[i + 3 * k] = r3 * s3 + i3 * c3;
        }
      }
    }
  }

  static M3D_BODY void radix5(Index m, Index s, const T* w, const T* xr, const T* xi, T* yr,
                              T* yi) {
    constexpr T a1 = T(0.30901699437494742410), a2 = T(-0.80901699437494742410),
                b1 = T(0.95105651629515357212), b2 = T(0.58778525229247312917);
    for (Index p = 0; p < m; ++p, w += 8) {
      const T c1 = w[0], s1 = w[1], c2 = w[2], s2 = w[3], c3 = w[4], s3 = w[5], c4 = w[6],
              s4 = w[7];
      const T *ar = xr + s * p * L, *ai = xi + s * p * L;
      const Index j = s * m * L, k = s * L;
      T *M3D_RESTRICT br = yr + 5 * s * p * L, *M3D_RESTRICT bi = yi + 5 * s * p * L;
      for (Index q = 0; q < k; q += L) {
#pragma omp simd
        for (int l = 0; l < L; ++l) {
          const Index i = q + l;
          const T tr = ar[i + j] + ar[i + 4 * j], ti = ai[i + j] + ai[i + 4 * j];
          const T ur = ar[i + 2 * j] + ar[i + 3 * j], ui = ai[i + 2 * j] + ai[i + 3 * j];
          const T vr = ar[i + j] - ar[i + 4 * j], vi = ai[i + j] - ai[i + 4 * j];
          const T xr_ = ar[i + 2 * j] - ar[i + 3 * j], xi_ = ai[i + 2 * j] - ai[i + 3 * j];
          const T dr = ar[i] + a1 * tr + a2 * ur, di = ai[i] + a1 * ti + a2 * ui;
          const T er = ar[i] + a2 * tr + a1 * ur, ei = ai[i] + a2 * ti + a1 * ui;
          const T fr = b1 * vr + b2 * xr_, fi = b1 * vi + b2 * xi_;
          const T gr = b2 * vr - b1 * xr_, gi = b2 * vi - b1 * xi_;
          const T r1 = dr + fi, i1 = di - fr, r4 = dr - fi, i4 = di + fr;
          const T r2 = er + gi, i2 = ei - gr, r3 = er - gi, i3 = ei + gr;
          br[i] = ar[i] + tr + ur;
          bi[i] = ai[i] + ti + ui;
          br[i + k] = r1 * c1 - i1 * s1;
          bi[i + k] = r1 * s1 + i1 * c1;
          br[i + 2 * k] = r2 * c2 - i2 * s2;
          bi[i + 2 * k] = r2 * s2 + i2 * c2;
          br[i + 3 * k] = r3 * c3 - i3 * s3;
          bi[i + 3 * k] = r3 * s3 + i3 * c3;
          br[i + 4 * k] = r4 * c4 - i4 * s4;
          bi[i + 4 * k] = r4 * s4 + i4 * c4;
        }
      }
    }
  }

  /// By the definition; the terms j and r - j together.
  static M3D_BODY void odd(int r, Index m, Index s, const T* w, const T* root, const T* xr,
                           const T* xi, T* yr, T* yi) {
    const Index j = s * m * L, k = s * L;
    for (Index p = 0; p < m; ++p, w += 2 * (r - 1))
      for (Index q = 0; q < k; q += L) {
        const T *ar = xr + s * p * L + q, *ai = xi + s * p * L + q;
        T *br = yr + r * s * p * L + q, *bi = yi + r * s * p * L + q;
        for (int out = 0; 2 * out < r; ++out) { // and its mirror image r - out
          T er[L], ei[L], dr[L], di[L];
#pragma omp simd
          for (int l = 0; l < L; ++l)
            er[l] = ar[l], ei[l] = ai[l], dr[l] = 0, di[l] = 0;
          for (int a = 1; 2 * a < r; ++a) {
            const T c = root[2 * (a * out % r)], sn = root[2 * (a * out % r) + 1];
            const T *pr = ar + a * j, *pi = ai + a * j, *nr = ar + (r - a) * j,
                    *ni = ai + (r - a) * j;
#pragma omp simd
            for (int l = 0; l < L; ++l) {
              er[l] += c * (pr[l] + nr[l]);
              ei[l] += c * (pi[l] + ni[l]);
              dr[l] += sn * (pi[l] - ni[l]);
              di[l] += sn * (pr[l] - nr[l]);
            }
          }
          const T c1 = out == 0 ? T(1) : w[2 * (out - 1)], s1 = out == 0 ? T(0) : w[2 * out - 1];
          T *M3D_RESTRICT tr = br + out * k, *M3D_RESTRICT ti = bi + out * k;
#pragma omp simd
          for (int l = 0; l < L; ++l) {
            const T re = er[l] - dr[l], im = ei[l] + di[l];
            tr[l] = re * c1 - im * s1;
            ti[l] = re * s1 + im * c1;
          }
          if (out == 0)
            continue;
          const T c2 = w[2 * (r - out - 1)], s2 = w[2 * (r - out) - 1];
          T *M3D_RESTRICT ur = br + (r - out) * k, *M3D_RESTRICT ui = bi + (r - out) * k;
#pragma omp simd
          for (int l = 0; l < L; ++l) {
            const T re = er[l] + dr[l], im = ei[l] - di[l];
            ur[l] = re * c2 - im * s2;
            ui[l] = re * s2 + im * c2;
          }
        }
      }
  }
};

} // namespace micro3d
