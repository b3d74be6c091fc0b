// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/config.hpp"  // for M3D_HD, Index
#include "core/divisor.hpp" // for BoxIndex

#include <cstdint> // for uint8_t, uintptr_t

namespace micro3d {

enum class SevenPointDot { none, input, output };

/// out = sign * (A u - b), cell-centred finite volumes between two plates, and dot = out.u or
/// out.out.
///
/// A face between cells of conductivity a and b conducts w * 2ab / (a + b) (w: area / distance of
/// its axis). The faces z = 0 and z = nz are plates half a cell away, conductance 2 w_z a; the
/// first holds `plate`, the second 0, so b is the inflow from the first plate. The sides y and x
/// are no-flux or periodic. With `binary` all conductivities are 0 or 1, and the face is a product.
///
/// Stored in S, computed in T: (float, float), (double, double) or (float, double) for u + u_low.
/// u, u_low and out share their strides (plane, row, 1); codes are contiguous.
template <class S, class T> struct SevenPoint {
  const S* u;     // [nz, ny, nx]; null: 0
  const S* u_low; // or null
  S* out;
  Index nz, ny, nx, plane, row;
  const std::uint8_t* codes; // [nz, ny, nx]
  const T* conductivity;     // [codes]; 0: the cell takes no part
  T wz, wy, wx;
  bool periodic_y, periodic_x, binary;
  T plate, sign;
  SevenPointDot dot_kind;
  double* dot; // [1]

  M3D_HD static T face(T a, T b, bool is_binary) {
    if (is_binary)
      return a * b;
    const T sum = a + b;
    return sum > T(0) ? 2 * a * b / sum : T(0);
  }

  /// Outflow of a cell with conductivity k and value u0; neighbours in the order z-, z+, y-, y+,
  /// x-, x+.
  M3D_HD T value(T k, T u0, const T (&nk)[6], const T (&nu)[6], bool low, bool high,
                 bool is_binary) const {
    const T z0 = low ? 2 * k * (u0 - plate) : face(k, nk[0], is_binary) * (u0 - nu[0]);
    const T z1 = high ? 2 * k * u0 : face(k, nk[1], is_binary) * (u0 - nu[1]);
    const T y0 = face(k, nk[2], is_binary) * (u0 - nu[2]);
    const T y1 = face(k, nk[3], is_binary) * (u0 - nu[3]);
    const T x0 = face(k, nk[4], is_binary) * (u0 - nu[4]);
    const T x1 = face(k, nk[5], is_binary) * (u0 - nu[5]);
    return sign * (wz * (z0 + z1) + wy * (y0 + y1) + wx * (x0 + x1));
  }

  M3D_HD T field(Index i) const {
    if (u == nullptr)
      return T(0);
    return u_low == nullptr ? T(u[i]) : T(u[i]) + T(u_low[i]);
  }

  /// The neighbour's place along an axis, or -1 beyond a no-flux side.
  M3D_HD static Index step(Index i, Index n, int by, bool periodic) {
    const Index j = i + by;
    if (j >= 0 && j < n)
      return j;
    return periodic ? (j < 0 ? n - 1 : 0) : -1;
  }

  /// The neighbour at these places of the codes and of the fields.
  M3D_HD void neighbour(Index code, Index at, bool there, T& k, T& v) const {
    k = there ? conductivity[codes[code]] : T(0);
    v = there ? field(at) : T(0);
  }

  /// Cell (z, y, x), which is number i; returns the term of the dot.
  M3D_HD double cell(Index i, Index z, Index y, Index x) const {
    const Index at = z * plane + y * row + x, layer = nx * ny;
    const Index y0 = step(y, ny, -1, periodic_y), y1 = step(y, ny, 1, periodic_y),
                x0 = step(x, nx, -1, periodic_x), x1 = step(x, nx, 1, periodic_x);
    T nk[6], nu[6];
    neighbour(i - layer, at - plane, z > 0, nk[0], nu[0]);
    neighbour(i + layer, at + plane, z + 1 < nz, nk[1], nu[1]);
    neighbour(i + (y0 - y) * nx, at + (y0 - y) * row, y0 >= 0, nk[2], nu[2]);
    neighbour(i + (y1 - y) * nx, at + (y1 - y) * row, y1 >= 0, nk[3], nu[3]);
    neighbour(i + (x0 - x), at + (x0 - x), x0 >= 0, nk[4], nu[4]);
    neighbour(i + (x1 - x), at + (x1 - x), x1 >= 0, nk[5], nu[5]);
    const T u0 = field(at);
    const S result = S(value(conductivity[codes[i]], u0, nk, nu, z == 0, z + 1 == nz, binary));
    out[at] = result;
    if (dot_kind == SevenPointDot::input)
      return double(result) * double(u0);
    if (dot_kind == SevenPointDot::output)
      return double(result) * double(result);
    return 0.0;
  }
};

/// Cells one by one, for CUDA.
template <class S, class T> struct SevenPointCells {
  SevenPoint<S, T> op;
  BoxIndex box;
  M3D_HD double operator()(Index, Index i) const {
    Index z, y, x;
    box.split(i, z, y, x);
    return op.cell(i, z, y, x);
  }
};

template <class S, class T> void seven_point_cpu(const SevenPoint<S, T>& op, int threads);
template <class S, class T>
void seven_point_cuda(const SevenPoint<S, T>& op, double* partials, std::uintptr_t stream);

} // namespace micro3d
