// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "ops/green.hpp" // for Green

namespace micro3d {

/// z = G r: transform, multiplication by the Green operator of ops/green.hpp and transform back, on
/// the CPU. (On CUDA the transforms are cuFFT's and green_cuda stands between them.)
///
/// Three walks through memory instead of seven. The real transform runs along y, where columns lie
/// side by side; then, one k_y after the other and while it is in the cache, what follows: along z,
/// along x, the product, back along x, back along z. So half of k_y is stored, and all of k_x:
///   spectrum [loads, ny / 2 + 1, components, nz, 2, nx], real and imaginary rows in turn.
template <class T, int N> struct GreenConvolve {
  Green<T, N> green; // symbol, first, bbar; data and tables are not used
  Index loads, nz, ny, nx;
  const T* r; // [loads, N, nz, ny, nx]
  T *z, *spectrum;

  Index half() const { return ny / 2 + 1; }
};

/// Whether all three lengths suit (no prime factor above 13).
bool green_convolve_takes(Index nz, Index ny, Index nx);

/// rz[load] = r . z
template <class T, int N>
void green_convolve_cpu(const GreenConvolve<T, N>& op, double* rz, int threads);

} // namespace micro3d
