// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/hex8.hpp"

#include "core/simd.hpp"    // for in_best_isa
#include "core/threads.hpp" // for share, thread_number

#include <algorithm> // for min
#include <vector>    // for vector

namespace micro3d {

namespace {

/// The coefficients of a row of voxels, coefficient by coefficient.
template <class Model, class S, class T>
M3D_BODY void expand_row(const Hex8<S, T>& op, const T* table, const std::uint8_t* labels,
                         Index row, T* M3D_RESTRICT c, Index stride) {
  for (int q = 0; q < Model::coefficients; ++q) {
    const T* M3D_RESTRICT t = table + q * op.phases;
    T* M3D_RESTRICT to = c + q * stride;
    if (op.phases == 1) {
#pragma omp simd
      for (Index x = 0; x < op.nx; ++x)
        to[x] = t[0];
    } else if (op.phases == 2) {
      const T c0 = t[0], c1 = t[1];
#pragma omp simd
      for (Index x = 0; x < op.nx; ++x)
        to[x] = labels[x] == 0 ? c0 : c1;
    } else {
      for (Index x = 0; x < op.nx; ++x)
        to[x] = t[labels[x]];
    }
  }
  if constexpr (Model::coefficients == 21) {
    if (op.directions == nullptr)
      return;
    const Index n = op.voxels();
    for (Index x = 0; x < op.nx; ++x) {
      if (op.fibre[5 * op.phases + labels[x]] == T(0))
        continue;
      const S* d = op.directions + row + x;
      const T axis[3] = {T(d[0]), T(d[n]), T(d[2 * n])};
      T turned[21];
      fibre_stiffness(op.fibre + labels[x], op.phases, axis, turned);
      for (int q = 0; q < 21; ++q)
        c[q * stride + x] = turned[q];
    }
  }
}

/// Planes z0 ... z1 - 1 of one load, element row by element row.
///
/// A row of elements reads four rows of nodes and adds to the same four. Its contributions to the
/// rows y + 1 are carried to the next row, those to the plane z + 1 are kept in `up`. Only the
/// upper half of the layer below the first plane is computed, so the order of the sums at a node
/// does not depend on how the planes are divided among threads.
template <class Model, class S, class T> struct Slab {
  static M3D_BODY void run(const Hex8<S, T>* given, Index load, Index z0, Index z1, double* dots) {
    const Hex8<S, T>& op = *given;
    constexpr int N = Model::components, rows = 4 * N;
    const Index nx = op.nx, ny = op.ny, n = op.voxels();
    const Index stride = (nx + 1 + 15) / 16 * 16;
    const bool same = op.mean == op.rest;
    std::vector<T> memory(std::size_t(
        stride * (3 * rows + 6 * N + Model::coefficients * (same ? 1 : 2)) + 2 * N * ny * stride));
    T* const s = memory.data();              // Haar terms of the columns of corners [rows]
    T* const even = s + rows * stride;       // forces: terms without x [rows]
    T* const odd = even + rows * stride;     // forces: terms with x [rows]
    T* const carry = odd + rows * stride;    // to the rows y + 1: [2 planes, N]
    T* const first = carry + 2 * N * stride; // row 0, waiting for the last row: [2 planes, N]
    T* const now = first + 2 * N * stride;   // finished sums of a row: [2 planes, N]
    T* const mean = now + 2 * N * stride;
    T* const rest = same ? mean : mean + Model::coefficients * stride;
    T* up = rest + Model::coefficients * stride; // [N, ny, stride], from the layer below
    T* up_next = up + N * ny * stride;
    const T* const macro = op.macro + load * Model::strains;

    for (Index layer = z0 - 1; layer < z1; ++layer) {
      const Index z = layer < 0 ? layer + op.nz : layer;
      const Index z_up = z + 1 == op.nz ? 0 : z + 1;
      double dot = 0.0;
      for (Index y = 0; y <= ny; ++y) {
        if (y < ny) {
          const Index row = (z * ny + y) * nx;
          const Index y_up = y + 1 == ny ? 0 : y + 1;
          expand_row<Model>(op, op.mean, op.labels + row, row, mean, stride);
          if (!same)
            expand_row<Model>(op, op.rest, op.labels + row, row, rest, stride);
          gather_corners(op, load, z, z_up, y, y_up, s, stride);
          elements(s, even, odd, mean, rest, stride, nx, macro);
          for (int i = 0; i < N; ++i) {
            const T* const e = even + 4 * i * stride;
            const T* const o = odd + 4 * i * stride;
            push(e, o, stride, nx, now + i * stride, now + (N + i) * stride, carry + i * stride,
                 carry + (N + i) * stride, first + i * stride, first + (N + i) * stride, y == 0);
          }
          if (y == 0)
            continue;
        } else {
          for (int i = 0; i < 2 * N; ++i)
            for (Index x = 0; x < nx; ++x)
              now[i * stride + x] = first[i * stride + x] + carry[i * stride + x];
        }
        const Index y_node = y == ny ? 0 : y;
        for (int i = 0; i < N; ++i) {
          if (layer >= z0)
            dot += finish(op, (load * N + i) * n + (z * ny + y_node) * nx, now + i * stride,
                          up + (i * ny + y_node) * stride);
          T* M3D_RESTRICT to = up_next + (i * ny + y_node) * stride;
          const T* M3D_RESTRICT from = now + (N + i) * stride;
          for (Index x = 0; x < nx; ++x)
            to[x] = from[x];
        }
      }
      std::swap(up, up_next);
      if (layer >= z0)
        dots[layer] = dot;
    }
    // One function, because the rows share `memory`, `up` and the running sums.
  }

  /// Haar terms, in y and z, of the columns of corners of an element row.
  static M3D_BODY void gather_corners(const Hex8<S, T>& op, Index load, Index z, Index z_up,
                                      Index y, Index y_up, T* s, Index stride) {
    constexpr int N = Model::components;
    const Index nx = op.nx, n = op.voxels();
    for (int i = 0; i < N; ++i) {
      T* M3D_RESTRICT s0 = s + (4 * i + 0) * stride;
      T* M3D_RESTRICT s1 = s + (4 * i + 1) * stride;
      T* M3D_RESTRICT s2 = s + (4 * i + 2) * stride;
      T* M3D_RESTRICT s3 = s + (4 * i + 3) * stride;
      if (op.u == nullptr) {
        for (Index x = 0; x <= nx; ++x)
          s0[x] = s1[x] = s2[x] = s3[x] = T(0);
        continue;
      }
      const Index base = (load * N + i) * n;
      const Index ra = base + (z * op.ny + y) * nx, rb = base + (z * op.ny + y_up) * nx;
      const Index rc = base + (z_up * op.ny + y) * nx, rd = base + (z_up * op.ny + y_up) * nx;
      const S *a = op.u + ra, *b = op.u + rb, *c = op.u + rc, *d = op.u + rd;
      if (op.u_low == nullptr) {
#pragma omp simd
        for (Index x = 0; x < nx; ++x) {
          T t[4];
          haar4(T(a[x]), T(b[x]), T(c[x]), T(d[x]), t);
          s0[x] = t[0], s1[x] = t[1], s2[x] = t[2], s3[x] = t[3];
        }
      } else {
        const S *al = op.u_low + ra, *bl = op.u_low + rb, *cl = op.u_low + rc, *dl = op.u_low + rd;
#pragma omp simd
        for (Index x = 0; x < nx; ++x) {
          T t[4];
          haar4(T(a[x]) + T(al[x]), T(b[x]) + T(bl[x]), T(c[x]) + T(cl[x]), T(d[x]) + T(dl[x]), t);
          s0[x] = t[0], s1[x] = t[1], s2[x] = t[2], s3[x] = t[3];
        }
      }
      s0[nx] = s0[0], s1[nx] = s1[0], s2[nx] = s2[0], s3[nx] = s3[0];
    }
  }

  static M3D_BODY void elements(const T* M3D_RESTRICT s, T* M3D_RESTRICT even, T* M3D_RESTRICT odd,
                                const T* M3D_RESTRICT mean, const T* M3D_RESTRICT rest,
                                Index stride, Index nx, const T* macro_in) {
    constexpr int N = Model::components;
    T macro[Model::strains];
    for (int q = 0; q < Model::strains; ++q)
      macro[q] = macro_in[q];
#pragma omp simd
    for (Index x = 0; x < nx; ++x) {
      T h[N][8], f[N][8];
      for (int i = 0; i < N; ++i)
        for (int k = 0; k < 4; ++k) {
          const T left = s[(4 * i + k) * stride + x], right = s[(4 * i + k) * stride + x + 1];
          h[i][2 * k] = right + left;
          h[i][2 * k + 1] = right - left;
        }
      hex8_element<Model>(h, Coefficients<T>{mean + x, stride}, Coefficients<T>{rest + x, stride},
                          macro, f);
      for (int i = 0; i < N; ++i)
        for (int k = 0; k < 4; ++k) {
          even[(4 * i + k) * stride + x] = f[i][2 * k];
          odd[(4 * i + k) * stride + x] = f[i][2 * k + 1];
        }
    }
  }

  /// Forces of an element row on its four node rows: two are finished into `now`, two are carried.
  static M3D_BODY void push(const T* e, const T* o, Index stride, Index nx, T* now_low, T* now_high,
                            T* carry_low, T* carry_high, T* first_low, T* first_high,
                            bool is_first) {
    T* M3D_RESTRICT low = is_first ? first_low : now_low;
    T* M3D_RESTRICT high = is_first ? first_high : now_high;
    T* M3D_RESTRICT cl = carry_low;
    T* M3D_RESTRICT ch = carry_high;
    const T keep = is_first ? T(0) : T(1);
    const auto node = [&](Index x, Index left) {
      T g[4]; // forces on node column x: right of element `left`, left of element x
      for (int k = 0; k < 4; ++k) {
        const Index r = k * stride;
        g[k] = (e[r + left] + o[r + left]) + (e[r + x] - o[r + x]);
      }
      const T p0 = g[0] - g[2], p1 = g[1] - g[3], q0 = g[0] + g[2], q1 = g[1] + g[3];
      low[x] = (p0 - p1) + keep * cl[x];
      high[x] = (q0 - q1) + keep * ch[x];
      cl[x] = p0 + p1;
      ch[x] = q0 + q1;
    };
    node(0, nx - 1);
#pragma omp simd
    for (Index x = 1; x < nx; ++x)
      node(x, x - 1);
  }

  static M3D_BODY double finish(const Hex8<S, T>& op, Index at, const T* M3D_RESTRICT low,
                                const T* M3D_RESTRICT up) {
    S* M3D_RESTRICT out = op.out + at;
    const Index nx = op.nx;
    const T sign = op.sign;
    double dot = 0.0;
    if (op.dot_kind == Hex8Dot::none) {
#pragma omp simd
      for (Index x = 0; x < nx; ++x)
        out[x] = S(sign * (up[x] + low[x]));
    } else if (op.dot_kind == Hex8Dot::output) {
#pragma omp simd reduction(+ : dot)
      for (Index x = 0; x < nx; ++x) {
        out[x] = S(sign * (up[x] + low[x]));
        dot += double(out[x]) * double(out[x]);
      }
    } else if (op.u != nullptr) {
      const S* M3D_RESTRICT u = op.u + at;
      const S* M3D_RESTRICT u_low = op.u_low == nullptr ? nullptr : op.u_low + at;
      if (u_low == nullptr) {
#pragma omp simd reduction(+ : dot)
        for (Index x = 0; x < nx; ++x) {
          out[x] = S(sign * (up[x] + low[x]));
          dot += double(out[x]) * double(u[x]);
        }
      } else {
        for (Index x = 0; x < nx; ++x) {
          out[x] = S(sign * (up[x] + low[x]));
          dot += double(out[x]) * (double(u[x]) + double(u_low[x]));
        }
      }
    } else {
      for (Index x = 0; x < nx; ++x)
        out[x] = S(sign * (up[x] + low[x]));
    }
    return dot;
  }
};

template <class Model, class S, class T> void walk(const Hex8<S, T>& op, int threads) {
  const Index worth = 1 + op.voxels() / 4096; // waking a thread costs time
  const int team = static_cast<int>(std::min<Index>({thread_number(threads), op.nz, worth}));
  std::vector<double> dots(std::size_t(op.loads * op.nz), 0.0);
  share(op.loads * team, team, [&](Index begin, Index end, int) {
    for (Index i = begin; i < end; ++i) {
      const Index load = i / team, part = i % team;
      in_best_isa<Slab<Model, S, T>>(&op, load, op.nz * part / team, op.nz * (part + 1) / team,
                                     dots.data() + load * op.nz);
    }
  });
  if (op.dot_kind == Hex8Dot::none)
    return;
  for (Index load = 0; load < op.loads; ++load) {
    double sum = 0.0;
    for (Index z = 0; z < op.nz; ++z)
      sum += dots[std::size_t(load * op.nz + z)];
    op.dot[load] = sum;
  }
}

} // namespace

template <class S, class T> void hex8_cpu(const Hex8<S, T>& op, int model, int threads) {
  with_model<T>(model, [&](auto m) { walk<decltype(m)>(op, threads); });
}
template void hex8_cpu(const Hex8<float, float>&, int, int);
template void hex8_cpu(const Hex8<float, double>&, int, int);
template void hex8_cpu(const Hex8<double, double>&, int, int);

} // namespace micro3d
