// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/green.hpp"

#include "core/for_each.hpp" // for cuda_on
#include "core/reduce.hpp"   // for reduce

namespace micro3d {

template <class T, int N>
void green_cuda(Index loads, const Green<T, N>& op, double* rz, double* partials,
                std::uintptr_t stream) {
  reduce(cuda_on(stream), loads, op.nz * op.ny * op.half, op, rz, partials);
}
template <class T>
void separable_inverse_cuda(const SeparableInverse<T>& op, double* rz, double* partials,
                            std::uintptr_t stream) {
  reduce(cuda_on(stream), 1, op.nz * op.ny * op.nx, op, rz, partials);
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
