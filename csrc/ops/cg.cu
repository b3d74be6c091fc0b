// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/cg.hpp"

#include "core/for_each.hpp" // for cuda_on
#include "core/reduce.hpp"   // for reduce

namespace micro3d {

template <class T>
void cg_update_cuda(Index loads, const CgUpdate<T>& op, double* rr, double* partials,
                    std::uintptr_t stream) {
  reduce(cuda_on(stream), loads, op.n, op, rr, partials);
}
template <class T>
void cg_direction_cuda(Index loads, const CgDirection<T>& op, std::uintptr_t stream) {
  reduce(cuda_on(stream), loads, op.n, op, nullptr, nullptr);
}
void two_sum_cuda(Index n, const TwoSum& op, std::uintptr_t stream) {
  reduce(cuda_on(stream), 1, n, op, nullptr, nullptr);
}
template <class T>
void dot_cuda(Index loads, const Dot<T>& op, double* sum, double* partials, std::uintptr_t stream) {
  reduce(cuda_on(stream), loads, op.n, op, sum, partials);
}

template void cg_update_cuda(Index, const CgUpdate<float>&, double*, double*, std::uintptr_t);
template void cg_update_cuda(Index, const CgUpdate<double>&, double*, double*, std::uintptr_t);
template void cg_direction_cuda(Index, const CgDirection<float>&, std::uintptr_t);
template void cg_direction_cuda(Index, const CgDirection<double>&, std::uintptr_t);
template void dot_cuda(Index, const Dot<float>&, double*, double*, std::uintptr_t);
template void dot_cuda(Index, const Dot<double>&, double*, double*, std::uintptr_t);

} // namespace micro3d
