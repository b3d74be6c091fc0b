// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "bindings/bindings.hpp"
#include "ops/prediction.hpp" // for Prediction

#include <array> // for array

namespace micro3d {

/// x and the network's outputs (N, S, C, H, W), as the operators on a Prediction take them.
class GivenPrediction {
 public:
  GivenPrediction(Prediction& op, const std::array<const py::object*, Prediction::roles>& given,
                  Object p, Object q, Object guidance_in, Access of_outputs, const Stream& stream) {
    constexpr const char* names[Prediction::roles] = {"x", "net", "net_uncond"};
    for (int role = 0; role < Prediction::roles; ++role) {
      if (role == Prediction::Uncond && given[role]->is_none())
        continue;
      const Access access = role == Prediction::X ? Access::read : of_outputs;
      const Array& array = arrays_[role].emplace(*given[role], names[role], access, stream);
      array.require_ndim(5);
      array.require_shape(x().shape());
      array.require_same_device(x());
      if (role == Prediction::X)
        array.require_dtype({DType::f32});
      else
        array.require_dtype({DType::f32, DType::bf16, DType::f16});
      if (access == Access::write)
        array.require_distinct_elements();
      op.field[role] = {array.data_untyped(),
                        {array.stride(2), array.stride(1), array.stride(3), array.stride(4)},
                        element_of(array)};
      op.volume_stride[role] = array.stride(0);
    }
    const Index extent[4] = {x().extent(2), x().extent(1), x().extent(3), x().extent(4)};
    op.volumes = x().extent(0);
    for (int axis = 0; axis < 4; ++axis)
      op.extent[axis] = extent[axis];
    const double guidance = number(guidance_in, "guidance");
    op.p = static_cast<float>(number(p, "p"));
    op.q = static_cast<float>(number(q, "q"));
    op.guidance = static_cast<float>(guidance);
    op.unguided = static_cast<float>(1.0 - guidance);
  }

  const Array& x() const { return *arrays_[Prediction::X]; }
  const Array* net() const { return or_null(arrays_[Prediction::Net]); }
  const Array* uncond() const { return or_null(arrays_[Prediction::Uncond]); }

  /// Refuses another array that is not contiguous float32 of a shape, or lies elsewhere.
  void require_floats(const Array& array, const std::vector<Index>& shape) const {
    array.require_shape(shape);
    array.require_same_device(x());
    array.require_contiguous();
    array.require_dtype({DType::f32});
  }

 private:
  std::optional<Array> arrays_[Prediction::roles];
};

} // namespace micro3d
