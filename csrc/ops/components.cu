// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/components.hpp"

#include "core/for_each.hpp" // for for_each

namespace micro3d {

namespace {

struct Shared {
  __device__ std::int32_t load(const std::int32_t* p) const { return __ldcg(p); } // not from L1
  __device__ std::int32_t min(std::int32_t* p, std::int32_t value) const {
    return atomicMin(p, value);
  }
};

struct Point {
  Components op;
  __device__ void operator()(Index i) const { op.point(i); }
};
struct Flatten {
  Components op;
  __device__ void operator()(Index i) const { op.flatten(i, Shared{}); }
};
struct Unite {
  Components op;
  __device__ void operator()(Index i) const { op.unite(i, Shared{}); }
};

} // namespace

void components_cuda(const Components& op, std::uintptr_t stream) {
  const Cuda cuda = cuda_on(stream);
  const Index n = op.nz * op.ny * op.nx;
  for_each(cuda, n, Point{op});
  for_each(cuda, n, Flatten{op});
  for_each(cuda, n, Unite{op});
  for_each(cuda, n, Flatten{op});
}

} // namespace micro3d
