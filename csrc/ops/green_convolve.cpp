// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/green_convolve.hpp"

#include "core/simd.hpp"    // for in_best_isa
#include "core/threads.hpp" // for share, thread_number
#include "ops/fft.hpp"      // for FftPlan, FftBody, fft_lanes, fft_takes

#include <algorithm> // for min, max
#include <cmath>     // for cos, sin
#include <cstdint>   // for uintptr_t
#include <optional>  // for optional
#include <vector>    // for vector

namespace micro3d {

bool green_convolve_takes(Index nz, Index ny, Index nx) {
  return fft_takes(nz) && fft_takes(ny) && fft_takes(nx);
}

namespace {

/// Two pairs of buffers for columns of up to n elements; the transform runs from one to the other.
template <class T> struct Columns {
  static constexpr int L = fft_lanes<T>;
  std::vector<T> memory;
  T *re, *im, *other_re, *other_im;

  Columns(const Columns&) = delete; // points into itself
  Columns(Columns&&) = default;
  explicit Columns(Index n) : memory(std::size_t(4 * n + 1) * L) {
    const auto skew = reinterpret_cast<std::uintptr_t>(memory.data()) / sizeof(T) % L;
    T* const at = memory.data() + (L - Index(skew)) % L; // whole cache lines
    re = at, im = at + n * L, other_re = at + 2 * n * L, other_im = at + 3 * n * L;
  }
  void forward(const FftPlan<T>& plan) {
    in_best_isa<FftBody<T>>(&plan, &re, &im, &other_re, &other_im);
  }
  void backward(const FftPlan<T>& plan) {
    in_best_isa<FftBody<T>>(&plan, &im, &re, &other_im, &other_re);
  }
};

/// Copies `count` <= L numbers; Pad: then zeros, up to L.
template <bool Pad, class T> M3D_BODY void copy(const T* from, T* to, Index count) {
  constexpr int L = fft_lanes<T>;
  if (count >= L) {
#pragma omp simd
    for (int l = 0; l < L; ++l)
      to[l] = from[l];
    return;
  }
  for (int l = 0; l < (Pad ? L : count); ++l)
    to[l] = l < count ? from[l] : T(0);
}
template <class T> M3D_BODY void load(const T* from, T* to, Index count) {
  copy<true>(from, to, count);
}
template <class T> M3D_BODY void store(const T* from, T* to, Index count) {
  copy<false>(from, to, count);
}

/// Columns along y of a real plane, 2 L at a time: one the real, one the imaginary part.
template <class T> struct LoadReal {
  static constexpr int L = fft_lanes<T>;
  static M3D_BODY void run(const T* plane, Index ny, Index nx, Index x, T* re, T* im) {
    for (Index y = 0; y < ny; ++y) {
      load(plane + y * nx + x, re + y * L, nx - x);
      load(plane + y * nx + x + L, im + y * L, std::max<Index>(0, nx - x - L));
    }
  }
};
template <class T> struct StoreReal {
  static constexpr int L = fft_lanes<T>;
  static M3D_BODY void run(T* plane, Index ny, Index nx, Index x, const T* re, const T* im) {
    for (Index y = 0; y < ny; ++y) {
      store(re + y * L, plane + y * nx + x, nx - x);
      store(im + y * L, plane + y * nx + x + L, nx - x - L);
    }
  }
};

/// The two transforms that one complex transform holds: Z = A + i B, at k and n - k. `pitch` is
/// the distance between the rows of one k and of the next.
template <class T> struct Split {
  static constexpr int L = fft_lanes<T>;
  static M3D_BODY void run(const T* re, const T* im, Index n, T* to, Index pitch, Index nx,
                           Index x) {
    for (Index k = 0; 2 * k <= n; ++k) {
      const T *zr = re + k * L, *zi = im + k * L;
      const T *wr = re + (n - k) % n * L, *wi = im + (n - k) % n * L;
      T ar[L], ai[L], br[L], bi[L];
#pragma omp simd
      for (int l = 0; l < L; ++l) {
        ar[l] = T(0.5) * (zr[l] + wr[l]);
        ai[l] = T(0.5) * (zi[l] - wi[l]);
        br[l] = T(0.5) * (zi[l] + wi[l]);
        bi[l] = T(0.5) * (wr[l] - zr[l]);
      }
      T* const row = to + k * pitch + x;
      store(ar, row, nx - x);
      store(ai, row + nx, nx - x);
      store(br, row + L, nx - x - L);
      store(bi, row + nx + L, nx - x - L);
    }
  }
};
template <class T> struct Join {
  static constexpr int L = fft_lanes<T>;
  static M3D_BODY void run(const T* from, Index pitch, Index nx, Index x, Index n, T* re, T* im) {
    for (Index k = 0; 2 * k <= n; ++k) {
      T ar[L], ai[L], br[L], bi[L];
      const T* const row = from + k * pitch + x;
      const Index left = nx - x, right = std::max<Index>(0, nx - x - L);
      load(row, ar, left);
      load(row + nx, ai, left);
      load(row + L, br, right);
      load(row + nx + L, bi, right);
      T *zr = re + k * L, *zi = im + k * L;
      if (k == 0 || 2 * k == n) { // the other part is zero up to rounding
#pragma omp simd
        for (int l = 0; l < L; ++l)
          zr[l] = ar[l], zi[l] = br[l];
        continue;
      }
      T *wr = re + (n - k) * L, *wi = im + (n - k) * L;
#pragma omp simd
      for (int l = 0; l < L; ++l) {
        zr[l] = ar[l] - bi[l];
        zi[l] = ai[l] + br[l];
        wr[l] = ar[l] + bi[l];
        wi[l] = br[l] - ai[l];
      }
    }
  }
};

/// Columns along z of [nz, 2, nx], L at a time.
template <class T> struct LoadColumns {
  static constexpr int L = fft_lanes<T>;
  static M3D_BODY void run(const T* rows, Index nz, Index nx, Index x, T* re, T* im) {
    for (Index z = 0; z < nz; ++z) {
      load(rows + 2 * z * nx + x, re + z * L, nx - x);
      load(rows + (2 * z + 1) * nx + x, im + z * L, nx - x);
    }
  }
};
template <class T> struct StoreColumns {
  static constexpr int L = fft_lanes<T>;
  static M3D_BODY void run(T* rows, Index nz, Index nx, Index x, const T* re, const T* im) {
    for (Index z = 0; z < nz; ++z) {
      store(re + z * L, rows + 2 * z * nx + x, nx - x);
      store(im + z * L, rows + (2 * z + 1) * nx + x, nx - x);
    }
  }
};

/// `count` rows of [.., 2, nx] turned into columns, and back.
template <class T> struct LoadRows {
  static constexpr int L = fft_lanes<T>;
  static M3D_BODY void run(const T* rows, Index count, Index nx, T* re, T* im) {
    for (int l = 0; l < L; ++l) {
      const T *a = rows + 2 * l * nx, *b = a + nx;
      if (l < count)
        for (Index x = 0; x < nx; ++x)
          re[x * L + l] = a[x], im[x * L + l] = b[x];
      else
        for (Index x = 0; x < nx; ++x)
          re[x * L + l] = im[x * L + l] = T(0);
    }
  }
};
template <class T> struct StoreRows {
  static constexpr int L = fft_lanes<T>;
  static M3D_BODY void run(T* rows, Index count, Index nx, const T* re, const T* im) {
    for (int l = 0; l < L && l < count; ++l) {
      T *a = rows + 2 * l * nx, *b = a + nx;
      for (Index x = 0; x < nx; ++x)
        a[x] = re[x * L + l], b[x] = im[x * L + l];
    }
  }
};

/// Waves along one axis: d, m, s, p of ops/green.hpp, [4][pitch].
template <class T> struct Waves {
  Index pitch;
  std::vector<T> table;
  Waves(Index n, Index padded) : pitch(padded), table(std::size_t(4 * padded), T(0)) {
    for (Index k = 0; k < n; ++k) {
      const double theta = 2.0 * 3.14159265358979323846 * double(k) / double(n);
      const double half = std::sin(0.5 * theta), c = std::cos(theta);
      put(0, k, 4.0 * half * half);
      put(1, k, (8.0 + 4.0 * c) / 3.0);
      put(2, k, 2 * k == n ? 0.0 : 2.0 * std::sin(theta));
      put(3, k, 2 * k == n ? 0.0 : 2.0 + 2.0 * c);
    }
  }
  void put(int q, Index k, double value) { table[std::size_t(q * pitch + k)] = T(value); }
  T at(int q, Index k) const { return table[std::size_t(q * pitch + k)]; }
};

/// z = g r for all k_x and L values of k_z, at one k_y; the sum of r z.
template <class T, int N> struct Product {
  static constexpr int L = fft_lanes<T>;
  using Op = Green<T, N>;

  template <bool Bbar>
  static M3D_BODY double walk(const Op& given, const Waves<T>& wx, const T (&b)[4], const T* wz,
                              Index pitch, Index nx, T* const* re, T* const* im) {
    Op op = given;
    op.bbar = Bbar;
    const T scale = T(op.scale);
    double sum = 0.0;
    for (Index x = 0; x < nx; ++x) {
      const T a[4] = {wx.at(0, x), wx.at(1, x), wx.at(2, x), wx.at(3, x)};
      T terms[L];
      T* v[2 * N];
      for (int i = 0; i < N; ++i)
        v[2 * i] = re[i] + x * L, v[2 * i + 1] = im[i] + x * L;
#pragma omp simd
      for (int l = 0; l < L; ++l) {
        const T c[4] = {wz[l], wz[pitch + l], wz[2 * pitch + l], wz[3 * pitch + l]};
        T g[Op::outputs];
        op.inverse(a, b, c, g);
        if constexpr (N == 1) {
          const T r0 = v[0][l], i0 = v[1][l], h = scale * g[0];
          v[0][l] = h * r0;
          v[1][l] = h * i0;
          terms[l] = h * (r0 * r0 + i0 * i0);
        } else {
          T total = 0;
          for (int part = 0; part < 2; ++part) {
            const T r0 = v[part][l], r1 = v[2 + part][l], r2 = v[4 + part][l];
            const T z0 = scale * (g[0] * r0 + g[5] * r1 + g[4] * r2);
            const T z1 = scale * (g[5] * r0 + g[1] * r1 + g[3] * r2);
            const T z2 = scale * (g[4] * r0 + g[3] * r1 + g[2] * r2);
            v[part][l] = z0;
            v[2 + part][l] = z1;
            v[4 + part][l] = z2;
            total += r0 * z0 + r1 * z1 + r2 * z2;
          }
          terms[l] = total;
        }
      }
      for (int l = 0; l < L; ++l)
        sum += double(terms[l]);
    }
    return sum;
  }
  static M3D_BODY void run(const Op* op, const Waves<T>* wx, const Waves<T>* wy, Index ky,
                           const Waves<T>* wz, Index kz, Index nx, T* const* re, T* const* im,
                           double* sum) {
    const T b[4] = {wy->at(0, ky), wy->at(1, ky), wy->at(2, ky), wy->at(3, ky)};
    const T* const c = wz->table.data() + kz;
    *sum += op->bbar ? walk<true>(*op, *wx, b, c, wz->pitch, nx, re, im)
                     : walk<false>(*op, *wx, b, c, wz->pitch, nx, re, im);
  }
};

/// The buffers of one thread.
template <class T> struct ConvolveBuffers {
  Columns<T> columns;
  std::vector<Columns<T>> rows; // of each component

  ConvolveBuffers(Index n, int components, Index nx) : columns(n) {
    rows.reserve(std::size_t(components));
    for (int i = 0; i < components; ++i)
      rows.emplace_back(nx);
  }
};

/// The three walks: along y; along z and x, and back; back along y.
template <class T, int N> struct Convolution {
  static constexpr int L = fft_lanes<T>;
  const GreenConvolve<T, N>& op;
  Index nz = op.nz, ny = op.ny, nx = op.nx, half = op.half();
  Index slab = nz * 2 * nx; // of one k_y and component
  Index pitch = N * slab;   // from one k_y to the next
  FftPlan<T> along_z{nz}, along_y{ny}, along_x{nx};
  Waves<T> wz{nz, (nz + L - 1) / L* L}, wy{ny, ny}, wx{nx, nx};

  explicit Convolution(const GreenConvolve<T, N>& given) : op(given) {}

  ConvolveBuffers<T> buffers() const { return {std::max(ny, nz), N, nx}; }

  /// Where a plane of `r` and `z` lies in the spectrum.
  T* rows_of(Index plane) const {
    const Index z = plane % nz, i = plane / nz % N, l = plane / nz / N;
    return op.spectrum + l * half * pitch + i * slab + 2 * z * nx;
  }
  void forth(Index plane, Columns<T>& columns) const {
    for (Index x = 0; x < nx; x += 2 * L) {
      in_best_isa<LoadReal<T>>(op.r + plane * ny * nx, ny, nx, x, columns.re, columns.im);
      columns.forward(along_y);
      in_best_isa<Split<T>>(static_cast<const T*>(columns.re), static_cast<const T*>(columns.im),
                            ny, rows_of(plane), pitch, nx, x);
    }
  }
  void back(Index plane, Columns<T>& columns) const {
    for (Index x = 0; x < nx; x += 2 * L) {
      in_best_isa<Join<T>>(static_cast<const T*>(rows_of(plane)), pitch, nx, x, ny, columns.re,
                           columns.im);
      columns.backward(along_y);
      in_best_isa<StoreReal<T>>(op.z + plane * ny * nx, ny, nx, x,
                                static_cast<const T*>(columns.re),
                                static_cast<const T*>(columns.im));
    }
  }

  void turn_z(T* of, bool forward, Columns<T>& columns) const {
    if (nz == 1)
      return;
    for (int i = 0; i < N; ++i)
      for (Index x = 0; x < nx; x += L) {
        T* const at = of + i * slab;
        in_best_isa<LoadColumns<T>>(static_cast<const T*>(at), nz, nx, x, columns.re, columns.im);
        if (forward)
          columns.forward(along_z);
        else
          columns.backward(along_z);
        in_best_isa<StoreColumns<T>>(at, nz, nx, x, static_cast<const T*>(columns.re),
                                     static_cast<const T*>(columns.im));
      }
  }
  /// One k_y of one load; returns its part of r.z.
  double multiply(Index job, ConvolveBuffers<T>& mine) const {
    T* const of = op.spectrum + job * pitch;
    const Index ky = job % half;
    turn_z(of, true, mine.columns);
    double sum = 0.0;
    for (Index z = 0; z < nz; z += L) {
      T *re[N], *im[N];
      for (int i = 0; i < N; ++i) {
        Columns<T>& own = mine.rows[std::size_t(i)];
        in_best_isa<LoadRows<T>>(static_cast<const T*>(of + i * slab + 2 * z * nx), nz - z, nx,
                                 own.re, own.im);
        own.forward(along_x);
        re[i] = own.re, im[i] = own.im;
      }
      in_best_isa<Product<T, N>>(&op.green, &wx, &wy, ky, &wz, z, nx, static_cast<T* const*>(re),
                                 static_cast<T* const*>(im), &sum);
      for (int i = 0; i < N; ++i) {
        Columns<T>& own = mine.rows[std::size_t(i)];
        own.backward(along_x);
        in_best_isa<StoreRows<T>>(of + i * slab + 2 * z * nx, nz - z, nx,
                                  static_cast<const T*>(own.re), static_cast<const T*>(own.im));
      }
    }
    turn_z(of, false, mine.columns);
    return ky > 0 && 2 * ky < ny ? 2.0 * sum : sum; // its mirror image is not stored
  }
};

} // namespace

template <class T, int N>
void green_convolve_cpu(const GreenConvolve<T, N>& op, double* rz, int threads) {
  const Convolution<T, N> all(op);
  const Index planes = op.loads * N * op.nz, jobs = op.loads * all.half;
  const Index worth = 1 + op.nz * op.ny * op.nx / 16384; // waking a thread costs time
  const int team = static_cast<int>(std::min<Index>(thread_number(threads), worth));
  std::vector<double> sums(std::size_t(jobs), 0.0);
  std::vector<std::optional<ConvolveBuffers<T>>> buffers(static_cast<std::size_t>(team));
  const auto walk = [&](Index n, const auto& one) {
    share(n, team, [&](Index begin, Index end, int worker) {
      auto& mine = buffers[std::size_t(worker)];
      if (!mine)
        mine.emplace(all.buffers());
      for (Index i = begin; i < end; ++i)
        one(i, *mine);
    });
  };
  walk(planes, [&](Index i, ConvolveBuffers<T>& mine) { all.forth(i, mine.columns); });
  walk(jobs,
       [&](Index i, ConvolveBuffers<T>& mine) { sums[std::size_t(i)] = all.multiply(i, mine); });
  walk(planes, [&](Index i, ConvolveBuffers<T>& mine) { all.back(i, mine.columns); });
  for (Index l = 0; l < op.loads; ++l) {
    rz[l] = 0.0;
    for (Index ky = 0; ky < all.half; ++ky)
      rz[l] += sums[std::size_t(l * all.half + ky)];
  }
}

template void green_convolve_cpu(const GreenConvolve<float, 1>&, double*, int);
template void green_convolve_cpu(const GreenConvolve<double, 1>&, double*, int);
template void green_convolve_cpu(const GreenConvolve<float, 3>&, double*, int);
template void green_convolve_cpu(const GreenConvolve<double, 3>&, double*, int);

} // namespace micro3d
