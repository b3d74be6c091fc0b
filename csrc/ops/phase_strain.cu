// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/phase_strain.hpp"

#include "core/for_each.hpp" // for cuda_on
#include "core/reduce.hpp"   // for reduce

namespace micro3d {

namespace {

struct Place { // sums of one (phase, q) for all loads, to their places
  const double* from;
  double* to;
  Index stride;
  M3D_HD void operator()(Index load) const { to[load * stride] = from[load]; }
};

} // namespace

/// One reduction a phase and component: a few reads of the field, once a solve.
template <class S>
void phase_strain_cuda(const PhaseStrain<S>& op, double* partials, std::uintptr_t stream) {
  double* const sums = partials + op.loads * reduce_partials;
  phase_strain_walk(op, [&](const PhaseStrainTerm<S>& body, double* place, Index step) {
    reduce(cuda_on(stream), op.loads, op.voxels(), body, sums, partials);
    for_each(cuda_on(stream), op.loads, Place{sums, place, step});
  });
}

template void phase_strain_cuda(const PhaseStrain<float>&, double*, std::uintptr_t);
template void phase_strain_cuda(const PhaseStrain<double>&, double*, std::uintptr_t);

} // namespace micro3d
