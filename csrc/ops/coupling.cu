// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/coupling.hpp"

#include "core/for_each.hpp" // for for_each, cuda_on

namespace micro3d {

namespace {

/// Voxels in the order of x0: neighbouring threads read and write neighbours of it.
struct Voxels {
  Coupling op;
  RowIndex index;
  Divisor columns;

  explicit Voxels(const Coupling& given)
      : op(given), index(given), columns(divisor(given.extent[3])) {}
  Index count() const { return op.rows() * columns.by; }

  struct Place {
    Index volume, s, c, h, w;
  };
  M3D_HD Place place(Index i) const {
    Place at;
    Index row;
    columns.split(i, row, at.w);
    index.split(row, at.volume, at.s, at.c, at.h);
    return at;
  }
  M3D_HD Index in(int role, const Place& at) const {
    return op.at(role, at.volume, at.c, at.s, at.h, at.w);
  }
  M3D_HD float load(int role, const Place& at) const {
    return op.field[role].present() ? op.field[role].load(in(role, at)) : 0.0f;
  }
};

struct Predict : Voxels {
  using Voxels::Voxels;
  M3D_HD void operator()(Index i) const {
    const Place at = place(i);
    op.x0[i] = op.predicted(load(Prediction::X, at), load(Prediction::Net, at),
                            load(Prediction::Uncond, at));
  }
};

struct Couple : Voxels {
  using Voxels::Voxels;
  M3D_HD void operator()(Index i) const {
    const Place at = place(i);
    const float* const own = op.x0 + i;
    const float* const strength = op.strength + 2 * at.c;
    float w = strength[0] * op.bend(own, at.h, op.extent[2], op.extent[3], op.periodic[0]) +
              strength[1] * op.bend(own, at.w, op.extent[3], 1, op.periodic[1]);
    if (op.earlier != nullptr) {
      const float before = op.earlier[i], prior = op.prior[at.volume * op.extent[0] + at.c];
      w += before;
      op.earlier[i] = op.left(before, *own, load(Prediction::X, at), prior);
    }
    const float change = op.change(*own, w);
    for (int role = Prediction::Net; role < Prediction::roles; ++role)
      if (op.field[role].present())
        op.field[role].store(in(role, at), load(role, at) + change); // their weights sum to 1
  }
};

} // namespace

void coupling_cuda(const Coupling& op, std::uintptr_t stream) {
  const Predict predict(op);
  for_each(cuda_on(stream), predict.count(), predict);
  const Couple couple(op);
  for_each(cuda_on(stream), couple.count(), couple);
}

} // namespace micro3d
