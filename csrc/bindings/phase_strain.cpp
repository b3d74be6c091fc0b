// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/phase_strain.hpp"

#include "bindings/bindings.hpp"
#include "core/reduce.hpp" // for reduce_partials

namespace micro3d {

static void phase_strain(Object u_in, Object low_in, Object labels_in, Object sum_in,
                         Object partials, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Array u(u_in, "u", Access::read, stream);
  const Array labels(labels_in, "labels", Access::read, stream);
  const Array sum(sum_in, "out", Access::write, stream);
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
  const std::optional<Array> low = optional_array(low_in, "u_low", Access::read, stream, u);
  if (low) {
    low->require_shape(u.shape());
    low->require_dtype({u.dtype()});
    low->require_contiguous();
  }
  const Scratch scratch(partials, stream, u, u.extent(0) * reduce_partials);
  require_own_memory({&sum, scratch.array()}, {&u, or_null(low), &labels});
  if (sum.extent(1) > 256)
    throw py::value_error("`out` must have at most 256 phases, got shape " +
                          shape_text(sum.shape()));
  labels.require_below(sum.extent(1), sum);
  with_real_type(u, [&](auto zero) {
    using S = decltype(zero);
    const PhaseStrain<S> op{u.data<const S>(),
                            data_or_null<const S>(low),
                            u.extent(0),
                            u.extent(2),
                            u.extent(3),
                            u.extent(4),
                            static_cast<int>(u.extent(1)),
                            static_cast<int>(sum.extent(1)),
                            static_cast<const std::uint8_t*>(labels.data_untyped()),
                            sum.data<double>()};
    double* const partial = scratch.data();
    run_on_device(
        u, stream, [&] { phase_strain_cpu(op, threads); },
        [&](std::uintptr_t s) { phase_strain_cuda(op, partial, s); });
  });
}

static void bind_phase_strain(py::module_& m) {
  m.def("phase_strain", &phase_strain, py::arg("u"), py::arg("u_low"), py::arg("labels"),
        py::arg("sum"), py::arg("partials"), py::arg("stream"), py::arg("threads"));
}
M3D_BINDING(bind_phase_strain);

} // namespace micro3d
