// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/cg.hpp"

#include "core/reduce.hpp" // for reduce

namespace micro3d {

template <class T> void cg_update_cpu(Index loads, const CgUpdate<T>& op, double* rr, int threads) {
  reduce(Cpu{threads}, loads, op.n, op, rr);
}
template <class T> void cg_direction_cpu(Index loads, const CgDirection<T>& op, int threads) {
  reduce(Cpu{threads}, loads, op.n, op, nullptr);
}
void two_sum_cpu(Index n, const TwoSum& op, int threads) {
  reduce(Cpu{threads}, 1, n, op, nullptr);
}
template <class T> void dot_cpu(Index loads, const Dot<T>& op, double* sum, int threads) {
  reduce(Cpu{threads}, loads, op.n, op, sum);
}

template void cg_update_cpu(Index, const CgUpdate<float>&, double*, int);
template void cg_update_cpu(Index, const CgUpdate<double>&, double*, int);
template void cg_direction_cpu(Index, const CgDirection<float>&, int);
template void cg_direction_cpu(Index, const CgDirection<double>&, int);
template void dot_cpu(Index, const Dot<float>&, double*, int);
template void dot_cpu(Index, const Dot<double>&, double*, int);

} // namespace micro3d
