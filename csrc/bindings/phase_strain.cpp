// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/phase_strain.hpp"

#include "bindings/bindings.hpp"
#include "core/device.hpp" // for DeviceGuard
#include "core/reduce.hpp" // for reduce_partials

namespace micro3d {

using Stream = std::optional<std::uintptr_t>;

template <class S>
static void phase_strain_as(const Array& u, const std::optional<Array>& low, const Array& labels,
                            const Array& sum, const std::optional<Array>& partials, Stream stream,
                            int threads) {
  const PhaseStrain<S> op{u.data<const S>(),
                          low ? low->data<const S>() : nullptr,
                          u.extent(0),
                          u.extent(2),
                          u.extent(3),
                          u.extent(4),
                          static_cast<int>(u.extent(1)),
                          static_cast<int>(sum.extent(1)),
                          static_cast<const std::uint8_t*>(labels.data_untyped()),
                          sum.data<double>()};
  double* const scratch = partials ? partials->data<double>() : nullptr;
  const py::gil_scoped_release no_gil; // from here on no Python object is touched
  if (u.is_cuda()) {
    const DeviceGuard guard(u.device_id());
    phase_strain_cuda(op, scratch, stream.value_or(1));
  } else {
    phase_strain_cpu(op, threads);
  }
}

static void phase_strain(const py::object& u_in, const py::object& low_in,
                         const py::object& labels_in, const py::object& sum_in,
                         const py::object& partials_in, Stream stream, int threads, bool) {
  const Array u(u_in, "u", Access::read, stream);
  const Array labels(labels_in, "labels", Access::read, stream);
  const Array sum(sum_in, "sum", Access::write, stream);
  std::optional<Array> low, partials;
  if (!low_in.is_none())
    low.emplace(low_in, "u_low", Access::read, stream);
  if (!partials_in.is_none())
    partials.emplace(partials_in, "partials", Access::write, stream);
  u.require_ndim(5);
  u.require_dtype({DType::f32, DType::f64});
  if (u.extent(1) != 1 && u.extent(1) != 3)
    throw py::value_error("`u` must have 1 or 3 components, got shape " + shape_text(u.shape()));
  labels.require_shape({u.extent(2), u.extent(3), u.extent(4)});
  labels.require_dtype({DType::u8});
  sum.require_ndim(3);
  sum.require_shape({u.extent(0), sum.extent(1), u.extent(1) == 3 ? 6 : 3});
  for (const Array* a : {&u, &labels, &sum}) {
    a->require_contiguous();
    a->require_same_device(u);
  }
  if (low) {
    low->require_shape(u.shape());
    low->require_dtype({u.dtype()});
    low->require_contiguous();
    low->require_same_device(u);
  }
  if (partials) {
    partials->require_contiguous();
    partials->require_same_device(u);
  }
  if (u.is_cuda() && (!partials || partials->size() < u.extent(0) * (reduce_partials + 1)))
    throw py::value_error("`partials` must hold the scratch space of the sums");
  if (u.dtype() == DType::f32)
    phase_strain_as<float>(u, low, labels, sum, partials, stream, threads);
  else
    phase_strain_as<double>(u, low, labels, sum, partials, stream, threads);
}

static void bind_phase_strain(py::module_& m) {
  m.def("phase_strain", &phase_strain, py::arg("u"), py::arg("u_low"), py::arg("labels"),
        py::arg("sum"), py::arg("partials"), py::arg("stream"), py::arg("threads"),
        py::arg("walk_on_host") = false);
}
M3D_BINDING(bind_phase_strain);

} // namespace micro3d
