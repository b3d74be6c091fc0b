// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/multigrid_bodies.hpp"

#include "core/for_each.hpp" // for cuda_on, for_each
#include "core/reduce.hpp"   // for reduce

namespace micro3d {

void multigrid_cycle_cuda(const PlatesHierarchy& h, float* z, const float* r, int visits,
                          double* rz, double* partials, std::uintptr_t stream) {
  const Cuda cuda = cuda_on(stream);
  multigrid_body_cycle(h, z, r, visits,
                       [cuda](Index n, const auto& body) { for_each(cuda, n, body); });
  const PlatesLevel& l = h.levels[0];
  reduce(cuda, 1, l.last() - l.first(), multigrid_product(l, z, r), rz, partials);
}

} // namespace micro3d
