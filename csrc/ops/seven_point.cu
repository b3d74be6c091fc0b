// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/seven_point.hpp"

#include "core/for_each.hpp" // for cuda_on
#include "core/reduce.hpp"   // for reduce

namespace micro3d {

template <class S, class T>
void seven_point_cuda(const SevenPoint<S, T>& op, double* partials, std::uintptr_t stream) {
  double* const sum = op.dot_kind == SevenPointDot::none ? nullptr : op.dot;
  const SevenPointCells<S, T> cells{op, box_index(op.ny, op.nx)};
  reduce(cuda_on(stream), 1, op.nz * op.ny * op.nx, cells, sum, partials);
}

template void seven_point_cuda(const SevenPoint<float, float>&, double*, std::uintptr_t);
template void seven_point_cuda(const SevenPoint<float, double>&, double*, std::uintptr_t);
template void seven_point_cuda(const SevenPoint<double, double>&, double*, std::uintptr_t);

} // namespace micro3d
