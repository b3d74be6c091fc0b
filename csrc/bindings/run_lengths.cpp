// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/run_lengths.hpp"

#include "bindings/bindings.hpp"

namespace micro3d {

static void run_lengths(Object labels, Object mask, Object counts, Object full, Object axis_in,
                        Object periodic_in, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const int axis = static_cast<int>(integer(axis_in, "axis", 0, 2));
  const bool periodic = flag(periodic_in, "periodic");
  const Array l(labels, "labels", Access::read, stream);
  const Array c(counts, "counts", Access::write, stream);
  const Array f(full, "full", Access::write, stream);
  l.require_ndim(3);
  l.require_dtype({DType::u8});
  c.require_ndim(2);
  c.require_shape({c.extent(0), l.extent(axis) + 1});
  c.require_contiguous();
  c.require_same_device(l);
  f.require_shape({c.extent(0)});
  f.require_contiguous();
  f.require_same_device(l);
  if (c.extent(0) < 1 || c.extent(0) > 256)
    throw py::value_error("`n_phases` must lie in 1 ... 256, got " + std::to_string(c.extent(0)));
  if (l.extent(axis) > 0x7fffffff)
    throw py::value_error("`labels` must have fewer than 2^31 voxels along `axis`");

  const int o = axis == 0 ? 1 : 0, i = axis == 2 ? 1 : 2;
  RunLengths op{static_cast<const std::uint8_t*>(l.data_untyped()),
                nullptr,
                l.extent(axis),
                l.extent(o),
                l.extent(i),
                l.stride(axis),
                l.stride(o),
                l.stride(i),
                0,
                0,
                0,
                c.data<std::int64_t>(),
                f.data<std::int64_t>(),
                static_cast<int>(c.extent(0)),
                periodic};
  const std::optional<Array> m = optional_mask(mask, stream, l);
  if (m) {
    op.mask = static_cast<const std::uint8_t*>(m->data_untyped());
    op.mask_step = m->stride(axis);
    op.mask_outer = m->stride(o);
    op.mask_inner = m->stride(i);
  }
  require_own_memory({&c, &f}, {&l, or_null(m)});
  if (l.size() > 0)
    run_on_device(
        l, stream, [&] { run_lengths_cpu(op, threads); },
        [&](std::uintptr_t s) { run_lengths_cuda(op, s); });
}

static void bind_run_lengths(py::module_& m) {
  m.def("run_lengths", &run_lengths, py::arg("labels"), py::arg("mask"), py::arg("counts"),
        py::arg("full"), py::arg("axis"), py::arg("periodic"), py::arg("stream"),
        py::arg("threads"));
}
M3D_BINDING(bind_run_lengths);

} // namespace micro3d
