// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/green.hpp"

#include "core/simd.hpp"    // for in_best_isa
#include "core/threads.hpp" // for share, thread_number

#include <algorithm> // for min
#include <vector>    // for vector

namespace micro3d {

namespace {

/// A row, in two loops that the compiler turns into vectors: the inverse symbols, then the product.
template <class T, int N> struct GreenRow {
  using Op = Green<T, N>;
  static constexpr Index chunk = 64;

  static M3D_BODY void run(const Op* given, Index load, Index row, double* sum) {
    const Op op = *given;
    const Index n = op.nz * op.ny * op.half;
    T* const at = op.data + 2 * (load * N * n + row * op.half);
    T g[Op::outputs][chunk], terms[chunk];
    double s = 0.0;
    for (Index first = 0; first < op.half; first += chunk) {
      const Index count = op.half - first < chunk ? op.half - first : chunk;
      if (op.bbar)
        symbols(op, row, first, count, g);
      else
        symbols_without_bbar(op, row, first, count, g);
      T* M3D_RESTRICT v = at + 2 * first;
#pragma omp simd
      for (Index k = 0; k < count; ++k) {
        T m[Op::outputs];
        for (int q = 0; q < Op::outputs; ++q)
          m[q] = g[q][k];
        const T re = Op::multiply(m, v + 2 * k, n), im = Op::multiply(m, v + 2 * k + 1, n);
        terms[k] = re + im;
      }
#pragma omp simd reduction(+ : s)
      for (Index k = 0; k < count; ++k)
        s += double(terms[k]);
      // all count twice but the first, and the last of an even number
      if (first == 0)
        s -= 0.5 * double(terms[0]);
      if (first + count == op.half && op.nx % 2 == 0 && op.half > 1)
        s -= 0.5 * double(terms[count - 1]);
    }
    *sum = 2.0 * op.scale * s;
  }

  static M3D_BODY void symbols(const Op& op, Index row, Index first, Index count,
                               T (&g)[Op::outputs][chunk]) {
#pragma omp simd
    for (Index k = 0; k < count; ++k) {
      T m[Op::outputs];
      op.inverse_at(row, first + k, m);
      for (int q = 0; q < Op::outputs; ++q)
        g[q][k] = m[q];
    }
  }
  static M3D_BODY void symbols_without_bbar(Op op, Index row, Index first, Index count,
                                            T (&g)[Op::outputs][chunk]) {
    op.bbar = false; // the compiler sees it
    symbols(op, row, first, count, g);
  }
};

template <class T> struct SeparableRow {
  static M3D_BODY void run(const SeparableInverse<T>* given, Index, Index row, double* sum) {
    const SeparableInverse<T> op = *given;
    double s = 0.0;
#pragma omp simd reduction(+ : s)
    for (Index k = 0; k < op.nx; ++k)
      s += op.value(row, k);
    *sum = s;
  }
};

template <class Row, class Op>
void rows(Index loads, Index count, Index voxels, const Op& op, double* rz, int threads) {
  std::vector<double> partial(static_cast<std::size_t>(loads * count));
  const Index worth = 1 + voxels / 8192; // waking a thread costs time
  const int team = static_cast<int>(std::min<Index>(thread_number(threads), worth));
  share(loads * count, team, [&](Index begin, Index end, int) {
    for (Index i = begin; i < end; ++i)
      in_best_isa<Row>(&op, i / count, i % count, partial.data() + i);
  });
  for (Index load = 0; load < loads; ++load) {
    double sum = 0.0;
    for (Index row = 0; row < count; ++row)
      sum += partial[static_cast<std::size_t>(load * count + row)];
    rz[load] = sum;
  }
}

} // namespace

template <class T, int N>
void green_cpu(Index loads, const Green<T, N>& op, double* rz, int threads) {
  rows<GreenRow<T, N>>(loads, op.nz * op.ny, op.nz * op.ny * op.half, op, rz, threads);
}
template <class T>
void separable_inverse_cpu(const SeparableInverse<T>& op, double* rz, int threads) {
  rows<SeparableRow<T>>(1, op.nz * op.ny, op.nz * op.ny * op.nx, op, rz, threads);
}

template void green_cpu(Index, const Green<float, 1>&, double*, int);
template void green_cpu(Index, const Green<double, 1>&, double*, int);
template void green_cpu(Index, const Green<float, 3>&, double*, int);
template void green_cpu(Index, const Green<double, 3>&, double*, int);
template void separable_inverse_cpu(const SeparableInverse<float>&, double*, int);
template void separable_inverse_cpu(const SeparableInverse<double>&, double*, int);

} // namespace micro3d
