// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/phase_strain.hpp"

#include "core/for_each.hpp" // for cuda_on
#include "core/reduce.hpp"   // for reduce

namespace micro3d {

namespace {

/// One component of one phase, as a body for reduce().
template <class S> struct Term {
  PhaseStrain<S> op;
  int phase, q;
  M3D_HD double operator()(Index load, Index voxel) const {
    return op.labels[voxel] == phase ? op.component(load, voxel, q) : 0.0;
  }
};

struct Place { // sums of one (phase, q) for all loads, to their places
  const double* from;
  double* to;
  Index stride;
  M3D_HD void operator()(Index load) const { to[load * stride] = from[load]; }
};

} // namespace

/// One reduction per phase and component: a few reads of the field, once per solve.
template <class S>
void phase_strain_cuda(const PhaseStrain<S>& op, double* partials, std::uintptr_t stream) {
  double* const sums = partials + op.loads * reduce_partials;
  const Cuda cuda = cuda_on(stream);
  const int strains = op.strains();
  for (int p = 0; p < op.phases; ++p)
    for (int q = 0; q < strains; ++q) {
      reduce(cuda, op.loads, op.voxels(), Term<S>{op, p, q}, sums, partials);
      for_each(cuda, op.loads, Place{sums, op.sum + p * strains + q, Index(op.phases) * strains});
    }
}

template void phase_strain_cuda(const PhaseStrain<float>&, double*, std::uintptr_t);
template void phase_strain_cuda(const PhaseStrain<double>&, double*, std::uintptr_t);

} // namespace micro3d
