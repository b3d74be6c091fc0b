// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/seven_point.hpp"

#include "core/simd.hpp"    // for in_best_isa
#include "core/threads.hpp" // for share, thread_number

#include <algorithm> // for min, fill_n
#include <vector>    // for vector

namespace micro3d {

namespace {

/// Planes z0 ... z1 - 1, row by row: the row and its four neighbours as conductivities and values
/// in buffers with one ghost cell at each end, then one loop without branches.
template <class S, class T> struct Planes {
  static M3D_BODY void run(const SevenPoint<S, T>* given, Index z0, Index z1, double* dots) {
    if (given->binary)
      walk<true>(*given, z0, z1, dots);
    else
      walk<false>(*given, z0, z1, dots);
  }

  static M3D_BODY void expand(const SevenPoint<S, T>& op, Index z, Index y, bool there,
                              bool is_binary, T* M3D_RESTRICT k, T* M3D_RESTRICT u) {
    const Index nx = op.nx;
    if (!there) {
      std::fill_n(k, nx, T(0));
      std::fill_n(u, nx, T(0));
      return;
    }
    const std::uint8_t* M3D_RESTRICT code = op.codes + (z * op.ny + y) * nx;
    const Index at = z * op.plane + y * op.row;
    if (is_binary) {
#pragma omp simd
      for (Index x = 0; x < nx; ++x)
        k[x] = code[x] != 0 ? T(1) : T(0);
    } else {
      for (Index x = 0; x < nx; ++x)
        k[x] = op.conductivity[code[x]];
    }
    if (op.u == nullptr) {
      std::fill_n(u, nx, T(0));
    } else if (op.u_low == nullptr) {
      const S* M3D_RESTRICT from = op.u + at;
#pragma omp simd
      for (Index x = 0; x < nx; ++x)
        u[x] = T(from[x]);
    } else {
      const S *from = op.u + at, *low = op.u_low + at;
#pragma omp simd
      for (Index x = 0; x < nx; ++x)
        u[x] = T(from[x]) + T(low[x]);
    }
  }

  template <bool Binary>
  static M3D_BODY void walk(const SevenPoint<S, T>& op, Index z0, Index z1, double* dots) {
    const Index nx = op.nx, ny = op.ny, stride = nx + 2;
    std::vector<T> memory(std::size_t(10 * stride));
    T* k[5];
    T* u[5];
    for (int r = 0; r < 5; ++r) {
      k[r] = memory.data() + 2 * r * stride + 1;
      u[r] = memory.data() + (2 * r + 1) * stride + 1;
    }
    for (Index z = z0; z < z1; ++z) {
      const bool low = z == 0, high = z + 1 == op.nz;
      double dot = 0.0;
      for (Index y = 0; y < ny; ++y) {
        const Index row = z * op.plane + y * op.row;
        const Index y0 = SevenPoint<S, T>::step(y, ny, -1, op.periodic_y);
        const Index y1 = SevenPoint<S, T>::step(y, ny, 1, op.periodic_y);
        expand(op, z, y, true, Binary, k[0], u[0]);
        expand(op, z - 1, y, !low, Binary, k[1], u[1]);
        expand(op, z + 1, y, !high, Binary, k[2], u[2]);
        expand(op, z, y0, y0 >= 0, Binary, k[3], u[3]);
        expand(op, z, y1, y1 >= 0, Binary, k[4], u[4]);
        k[0][-1] = op.periodic_x ? k[0][nx - 1] : T(0);
        k[0][nx] = op.periodic_x ? k[0][0] : T(0);
        u[0][-1] = op.periodic_x ? u[0][nx - 1] : T(0);
        u[0][nx] = op.periodic_x ? u[0][0] : T(0);
        if (low)
          dot += cells<Binary, true, true>(op, row, k, u, high);
        else if (high)
          dot += cells<Binary, true, true>(op, row, k, u, high, false);
        else
          dot += cells<Binary, false, false>(op, row, k, u, false);
      }
      dots[z] = dot;
    }
  }

  template <bool Binary, bool Low, bool High>
  static M3D_BODY double cells(const SevenPoint<S, T>& given, Index row, T* const* k, T* const* u,
                               bool high, bool low = Low) {
    const SevenPoint<S, T> op = given;
    const T *kc = k[0], *ka = k[1], *kb = k[2], *kd = k[3], *ke = k[4];
    const T *uc = u[0], *ua = u[1], *ub = u[2], *ud = u[3], *ue = u[4];
    S* M3D_RESTRICT out = op.out + row;
    double dot = 0.0;
#pragma omp simd reduction(+ : dot)
    for (Index x = 0; x < op.nx; ++x) {
      const T nk[6] = {ka[x], kb[x], kd[x], ke[x], kc[x - 1], kc[x + 1]};
      const T nu[6] = {ua[x], ub[x], ud[x], ue[x], uc[x - 1], uc[x + 1]};
      const S result = S(op.value(kc[x], uc[x], nk, nu, Low && low, High && high, Binary));
      out[x] = result;
      dot +=
          double(result) * (op.dot_kind == SevenPointDot::input ? double(uc[x]) : double(result));
    }
    return dot;
  }
};

} // namespace

template <class S, class T> void seven_point_cpu(const SevenPoint<S, T>& op, int threads) {
  const Index worth = 1 + op.nz * op.ny * op.nx / 16384; // waking a thread costs time
  const int team = static_cast<int>(std::min<Index>(thread_number(threads), worth));
  std::vector<double> dots(std::size_t(op.nz), 0.0);
  share(op.nz, team, [&](Index begin, Index end, int) {
    in_best_isa<Planes<S, T>>(&op, begin, end, dots.data());
  });
  if (op.dot_kind == SevenPointDot::none)
    return;
  double sum = 0.0;
  for (const double d : dots)
    sum += d;
  *op.dot = sum;
}

template void seven_point_cpu(const SevenPoint<float, float>&, int);
template void seven_point_cpu(const SevenPoint<float, double>&, int);
template void seven_point_cpu(const SevenPoint<double, double>&, int);

} // namespace micro3d
