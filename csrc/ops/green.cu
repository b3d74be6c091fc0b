// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/green.hpp"

#include "core/divisor.hpp"  // for BoxIndex
#include "core/for_each.hpp" // for cuda_on
#include "core/reduce.hpp"   // for reduce

namespace micro3d {

namespace {

/// The operators as bodies of one index.
template <class T, int N> struct Waves {
  Green<T, N> op;
  BoxIndex box;
  M3D_HD double operator()(Index load, Index i) const {
    Index z, y, x;
    box.split(i, z, y, x);
    return op.value(load, z, y, x);
  }
};
template <class T> struct Terms {
  SeparableInverse<T> op;
  BoxIndex box;
  M3D_HD double operator()(Index, Index i) const {
    Index z, y, x;
    box.split(i, z, y, x);
    return op.value(z, y, x);
  }
};

} // namespace

template <class T, int N>
void green_cuda(Index loads, const Green<T, N>& op, double* rz, double* partials,
                std::uintptr_t stream) {
  const Waves<T, N> waves{op, box_index(op.ny, op.half)};
  reduce(cuda_on(stream), loads, op.nz * op.ny * op.half, waves, rz, partials);
}
template <class T>
void separable_inverse_cuda(const SeparableInverse<T>& op, double* rz, double* partials,
                            std::uintptr_t stream) {
  const Terms<T> terms{op, box_index(op.ny, op.nx)};
  reduce(cuda_on(stream), 1, op.nz * op.ny * op.nx, terms, rz, partials);
}

template void green_cuda(Index, const Green<float, 1>&, double*, double*, std::uintptr_t);
template void green_cuda(Index, const Green<double, 1>&, double*, double*, std::uintptr_t);
template void green_cuda(Index, const Green<float, 3>&, double*, double*, std::uintptr_t);
template void green_cuda(Index, const Green<double, 3>&, double*, double*, std::uintptr_t);
template void separable_inverse_cuda(const SeparableInverse<float>&, double*, double*,
                                     std::uintptr_t);
template void separable_inverse_cuda(const SeparableInverse<double>&, double*, double*,
                                     std::uintptr_t);

} // namespace micro3d
