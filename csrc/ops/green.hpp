// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/config.hpp" // for M3D_HD, Index
#include "core/reduce.hpp" // for Pack, take_pack, store_pack

#include <cstdint> // for uintptr_t

namespace micro3d {

/// z^ = A^(k)^-1 r^ in place, where A^ is the symbol of the hex8 operator (ops/hex8.hpp) of a
/// uniform reference medium C, evaluated and inverted on the fly; the mean (k = 0) becomes 0.
///
/// Along one axis, with theta = 2 pi k / n, the Haar terms of a wave have
///   d = |e^i.theta - 1|^2 = 2 - 2 cos,   m = (2 + 2 cos) + d / 3,   s = 2 sin,   p = 2 + 2 cos,
/// and the seven modes add up to the real symmetric 3 x 3
///   M_xx = d_x m_y m_z,   M_xy = s_x s_y m_z,   ...        A^_ik = sum_jl C_ijkl M_jl .
/// With B-bar the first mode has its own C: M = first + rest, the first with p in place of m.
///
/// The spectrum is that of a real transform along x: [loads, components, nz, ny, nx / 2 + 1].
/// Returns r.z = 1 / (nz ny nx) sum conj(r^) z^ (Parseval), every k of the half spectrum counted
/// for its twin.
template <class T, int N> struct Green {
  static constexpr int outputs = N == 3 ? 6 : 1; // rows of the symbol: 11, 22, 33, 23, 13, 12

  T* data; // complex, re and im in turn
  Index nz, ny, nx, half;
  const T *z, *y, *x; // 1D tables [4][n], [4][n], [4][half]: d, m, s, p
  T symbol[outputs][6], first[outputs][6];
  bool bbar;
  double scale;    // 1 / (nz ny nx), of the sum r.z; 1 if the factor has it
  T factor = T(1); // of the result: 1 / (nz ny nx) for an inverse transform that does not divide

  M3D_HD Index rows() const { return nz * ny; }

  M3D_HD void modes(const T (&a)[4], const T (&b)[4], const T (&c)[4], bool first_mode,
                    T (&m)[6]) const { // a, b, c: along x, y, z
    const T mx = first_mode ? a[3] : a[1], my = first_mode ? b[3] : b[1],
            mz = first_mode ? c[3] : c[1];
    m[0] = a[0] * my * mz;
    m[1] = mx * b[0] * mz;
    m[2] = mx * my * c[0];
    m[3] = mx * b[2] * c[2];
    m[4] = a[2] * my * c[2];
    m[5] = a[2] * b[2] * mz;
  }

  M3D_HD void inverse(const T (&a)[4], const T (&b)[4], const T (&c)[4], T (&g)[outputs]) const {
    T m[6], s[outputs];
    modes(a, b, c, false, m);
    for (int q = 0; q < outputs; ++q) {
      s[q] = 0;
      for (int p = 0; p < 6; ++p)
        s[q] += symbol[q][p] * m[p];
    }
    if (bbar) { // symbol is that of the other modes; first is the difference
      modes(a, b, c, true, m);
      for (int q = 0; q < outputs; ++q)
        for (int p = 0; p < 6; ++p)
          s[q] += first[q][p] * m[p];
    }
    if constexpr (N == 1) {
      g[0] = s[0] > T(0) ? factor / s[0] : T(0);
    } else {
      const T c00 = s[1] * s[2] - s[3] * s[3], c01 = s[3] * s[4] - s[5] * s[2],
              c02 = s[5] * s[3] - s[1] * s[4];
      const T det = s[0] * c00 + s[5] * c01 + s[4] * c02;
      const T d = det > T(0) ? factor / det : T(0);
      g[0] = c00 * d;
      g[1] = (s[0] * s[2] - s[4] * s[4]) * d;
      g[2] = (s[0] * s[1] - s[5] * s[5]) * d;
      g[3] = (s[5] * s[4] - s[0] * s[3]) * d;
      g[4] = c02 * d;
      g[5] = c01 * d;
    }
  }

  /// The inverse of the symbol of wave (kx, row), row = kz * ny + ky.
  M3D_HD void inverse_at(Index row, Index kx, T (&g)[outputs]) const {
    inverse_at(row / ny, row % ny, kx, g);
  }
  M3D_HD void inverse_at(Index kz, Index ky, Index kx, T (&g)[outputs]) const {
    const T a[4] = {x[kx], x[half + kx], x[2 * half + kx], x[3 * half + kx]};
    const T b[4] = {y[ky], y[ny + ky], y[2 * ny + ky], y[3 * ny + ky]};
    const T c[4] = {z[kz], z[nz + kz], z[2 * nz + kz], z[3 * nz + kz]};
    inverse(a, b, c, g);
  }

  /// z = g r of real or imaginary parts; returns r.z.
  M3D_HD static T multiply(const T (&g)[outputs], const T (&r)[N], T (&z)[N]) {
    if constexpr (N == 1) {
      z[0] = g[0] * r[0];
      return z[0] * r[0];
    } else {
      z[0] = g[0] * r[0] + g[5] * r[1] + g[4] * r[2];
      z[1] = g[5] * r[0] + g[1] * r[1] + g[3] * r[2];
      z[2] = g[4] * r[0] + g[3] * r[1] + g[2] * r[2];
      return r[0] * z[0] + r[1] * z[1] + r[2] * z[2]; // three terms alone: sums are in double
    }
  }
  /// The same in place of the part at v. n: complex numbers a component.
  M3D_HD static T multiply(const T (&g)[outputs], T* M3D_RESTRICT v, Index n) {
    T r[N], z[N];
    for (int i = 0; i < N; ++i)
      r[i] = v[2 * i * n];
    const T term = multiply(g, r, z);
    for (int i = 0; i < N; ++i)
      v[2 * i * n] = z[i];
    return term;
  }

  /// How often a wave counts: the other half of the spectrum is not there.
  M3D_HD double count(Index kx) const { return kx > 0 && 2 * kx < nx ? 2.0 * scale : scale; }

  /// Wave by wave, both parts at once, for CUDA.
  M3D_HD double value(Index load, Index kz, Index ky, Index kx) const {
    const Index n = nz * ny * half;
    T g[outputs];
    inverse_at(kz, ky, kx, g);
    T* const at = data + 2 * (load * N * n + (kz * ny + ky) * half + kx);
    Pack<T, 2> wave[N];
    for (int i = 0; i < N; ++i)
      wave[i] = take_pack<2>(at + 2 * i * n);
    double sum = 0.0;
    for (int part = 0; part < 2; ++part) {
      T r[N], z[N];
      for (int i = 0; i < N; ++i)
        r[i] = wave[i].v[part];
      sum += double(multiply(g, r, z));
      for (int i = 0; i < N; ++i)
        wave[i].v[part] = z[i];
    }
    for (int i = 0; i < N; ++i)
      store_pack(at + 2 * i * n, wave[i]);
    return count(kx) * sum;
  }
};

/// z^ = r^ / (z + y + x) in place for the real transforms of a box, orthonormal ones; returns r.z.
template <class T> struct SeparableInverse {
  T* data; // [nz, ny, nx]
  Index nz, ny, nx;
  const T *z, *y, *x; // eigenvalues of the 1D operators

  M3D_HD double value(Index kz, Index ky, Index kx) const {
    const T s = z[kz] + y[ky] + x[kx];
    const Index at = (kz * ny + ky) * nx + kx;
    const T r = data[at];
    const T result = s > T(0) ? r / s : T(0);
    data[at] = result;
    return double(r) * double(result);
  }
  M3D_HD double value(Index row, Index kx) const { return value(row / ny, row % ny, kx); }
  M3D_HD double operator()(Index, Index i) const {
    return value(i / (nx * ny), i / nx % ny, i % nx);
  }
};

template <class T, int N>
void green_cpu(Index loads, const Green<T, N>& op, double* rz, int threads);
template <class T, int N>
void green_cuda(Index loads, const Green<T, N>& op, double* rz, double* partials,
                std::uintptr_t stream);
template <class T>
void separable_inverse_cpu(const SeparableInverse<T>& op, double* rz, int threads);
template <class T>
void separable_inverse_cuda(const SeparableInverse<T>& op, double* rz, double* partials,
                            std::uintptr_t stream);

} // namespace micro3d
