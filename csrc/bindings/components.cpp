// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/components.hpp"

#include "bindings/bindings.hpp"

#include <array> // for array

namespace micro3d {

static void connected_components(Object mask_in, Object out_in, Object periodic_in,
                                 Object stream_in) {
  const Stream stream = stream_of(stream_in);
  const std::array<bool, 3> periodic = flags<3>(periodic_in, "periodic");
  const Array mask(mask_in, "mask", Access::read, stream);
  const Array out(out_in, "out", Access::write, stream);
  mask.require_ndim(3);
  mask.require_dtype({DType::u8});
  mask.require_contiguous();
  out.require_shape(mask.shape());
  out.require_contiguous();
  out.require_same_device(mask);
  out.require_no_overlap(mask);
  if (mask.size() > 0x7fffffff)
    throw py::value_error("`mask` must have fewer than 2^31 voxels, got " +
                          std::to_string(mask.size()));
  const Components op{static_cast<const std::uint8_t*>(mask.data_untyped()),
                      out.data<std::int32_t>(),
                      mask.extent(0),
                      mask.extent(1),
                      mask.extent(2),
                      periodic[0],
                      periodic[1],
                      periodic[2],
                      box_index(mask.extent(1), mask.extent(2))};
  if (mask.size() > 0)
    run_on_device(
        mask, stream, [&] { components_cpu(op); },
        [&](std::uintptr_t s) { components_cuda(op, s); });
}

static void bind_connected_components(py::module_& m) {
  m.def("connected_components", &connected_components, py::arg("mask"), py::arg("out"),
        py::arg("periodic"), py::arg("stream"));
}
M3D_BINDING(bind_connected_components);

} // namespace micro3d
