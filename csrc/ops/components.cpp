// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/components.hpp"

namespace micro3d {

namespace {

struct Plain {
  std::int32_t load(const std::int32_t* p) const { return *p; }
  std::int32_t min(std::int32_t* p, std::int32_t value) const {
    const std::int32_t before = *p;
    *p = value < before ? value : before;
    return before;
  }
};

} // namespace

void components_cpu(const Components& op) {
  const Index n = op.nz * op.ny * op.nx;
  for (Index i = 0; i < n; ++i) {
    op.point(i);
    op.flatten(i, Plain{});
  }
  for (Index i = 0; i < n; ++i)
    op.unite(i, Plain{});
  for (Index i = 0; i < n; ++i)
    op.flatten(i, Plain{});
}

} // namespace micro3d
