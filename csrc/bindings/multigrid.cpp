// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/multigrid.hpp"

#include "bindings/bindings.hpp"
#include "core/reduce.hpp" // for reduce_partials

#include <array> // for array

namespace micro3d {

namespace {

using Shape = std::array<Index, 3>;
using Weights = std::array<double, 3>;
using Periodic = std::array<bool, 2>;

PlatesHierarchy hierarchy(const Shape& shape, bool binary, const Weights& weights,
                          const Periodic& periodic, float* buffer) {
  for (const Index n : shape)
    if (n < 1)
      throw py::value_error("`shape` must be three positive integers");
  const float w[3] = {float(weights[0]), float(weights[1]), float(weights[2])};
  const bool p[2] = {periodic[0], periodic[1]};
  return PlatesHierarchy(shape[0], shape[1], shape[2], binary, w, p, buffer);
}

float* buffer_of(const Array& buffer, const Shape& shape, bool binary, const Weights& weights,
                 const Periodic& periodic) {
  buffer.require_ndim(1);
  buffer.require_contiguous();
  if (buffer.extent(0) < hierarchy(shape, binary, weights, periodic, nullptr).floats)
    throw py::value_error("`buffer` must hold all levels (see multigrid_layout), got shape " +
                          shape_text(buffer.shape()));
  return buffer.data<float>();
}

void require_padded(const Array& field, const PlatesHierarchy& h) {
  field.require_dtype({DType::f32});
  field.require_contiguous();
  if (field.size() != h.levels[0].size())
    throw py::value_error("`" + field.name() + "` must be a padded field of " +
                          std::to_string(h.levels[0].size()) + " values, got shape " +
                          shape_text(field.shape()));
}

} // namespace

static py::tuple multigrid_layout(const Shape& shape, bool binary) {
  const PlatesHierarchy h = hierarchy(shape, binary, {1, 1, 1}, {false, false}, nullptr);
  const PlatesLevel& l = h.levels[0];
  return py::make_tuple(h.floats, py::make_tuple(l.nz + 2, l.plane / l.row, l.row));
}

static void setup(const py::object& codes_in, const py::object& conductivity_in,
                  const Weights& weights, const Periodic& periodic, bool binary,
                  const py::object& buffer_in) {
  const Array codes(codes_in, "codes", Access::read);
  const Array conductivity(conductivity_in, "conductivity", Access::read);
  const Array buffer(buffer_in, "buffer", Access::write);
  codes.require_ndim(3);
  codes.require_dtype({DType::u8});
  codes.require_contiguous();
  conductivity.require_ndim(1);
  conductivity.require_contiguous();
  if (codes.is_cuda() || buffer.is_cuda() || conductivity.is_cuda())
    throw py::value_error("`buffer` must be set up on the CPU and sent from there");
  const Shape shape{codes.extent(0), codes.extent(1), codes.extent(2)};
  float* const to = buffer_of(buffer, shape, binary, weights, periodic);
  const PlatesHierarchy h = hierarchy(shape, binary, weights, periodic, to);
  const double* const k = conductivity.data<const double>();
  const double w[3] = {weights[0], weights[1], weights[2]};
  const auto* const c = static_cast<const std::uint8_t*>(codes.data_untyped());
  const py::gil_scoped_release no_gil; // from here on no Python object is touched
  multigrid_setup(h, c, k, w);
}

static void cycle(const py::object& buffer_in, const Shape& shape, bool binary,
                  const Weights& weights, const Periodic& periodic, const py::object& z_in,
                  const py::object& r_in, int visits, const py::object& rz_in,
                  const py::object& partials_in, Stream stream, int threads) {
  const Array buffer(buffer_in, "buffer", Access::write, stream);
  const Array z(z_in, "z", Access::write, stream), r(r_in, "r", Access::read, stream);
  const Array rz(rz_in, "rz", Access::write, stream);
  const PlatesHierarchy h = hierarchy(shape, binary, weights, periodic,
                                      buffer_of(buffer, shape, binary, weights, periodic));
  require_padded(z, h);
  require_padded(r, h);
  for (const Array* a : {&z, &r, &rz})
    a->require_same_device(buffer);
  z.require_no_overlap(r);
  const Scratch scratch(partials_in, stream, buffer, reduce_partials);
  float* const to = z.data<float>();
  const float* const from = r.data<const float>();
  double* const sum = rz.data<double>();
  double* const partial = scratch.data();
  run_on_device(
      buffer, stream, [&] { multigrid_cycle_cpu(h, to, from, visits, sum, threads); },
      [&](std::uintptr_t s) { multigrid_cycle_cuda(h, to, from, visits, sum, partial, s); });
}

static void bind_multigrid(py::module_& m) {
  m.def("multigrid_layout", &multigrid_layout, py::arg("shape"), py::arg("binary"));
  m.def("multigrid_setup", &setup, py::arg("codes"), py::arg("conductivity"), py::arg("weights"),
        py::arg("periodic"), py::arg("binary"), py::arg("buffer"));
  m.def("multigrid_cycle", &cycle, py::arg("buffer"), py::arg("shape"), py::arg("binary"),
        py::arg("weights"), py::arg("periodic"), py::arg("z"), py::arg("r"), py::arg("visits"),
        py::arg("rz"), py::arg("partials"), py::arg("stream"), py::arg("threads"));
}
M3D_BINDING(bind_multigrid);

} // namespace micro3d
