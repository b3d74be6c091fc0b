// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/multigrid.hpp"

#include "bindings/bindings.hpp"
#include "core/reduce.hpp" // for reduce_partials

#include <algorithm> // for max
#include <array>     // for array

namespace micro3d {

namespace {

using Shape = std::array<Index, 3>;
using Weights = std::array<double, 3>;
using Periodic = std::array<bool, 2>;

PlatesHierarchy hierarchy(const Shape& shape, bool binary, const Weights& weights,
                          const Periodic& periodic, float* buffer) {
  for (const Index n : shape)
    if (n < 1)
      throw py::value_error("`shape` must be three positive integers, got " +
                            shape_text({shape[0], shape[1], shape[2]}));
  const Index plane = product(shape[1] + 3, shape[2] + 3); // padded
  if (plane > most_extent || product(shape[0] + 2, plane) > (Index(1) << 48))
    throw py::value_error("`shape` must be of fewer than 2^31 cells a plane and 2^48 in all, got " +
                          shape_text({shape[0], shape[1], shape[2]}));
  const float w[3] = {float(weights[0]), float(weights[1]), float(weights[2])};
  const bool p[2] = {periodic[0], periodic[1]};
  return PlatesHierarchy(shape[0], shape[1], shape[2], binary, w, p, buffer);
}

float* buffer_of(const Array& buffer, const Shape& shape, bool binary, const Weights& weights,
                 const Periodic& periodic) {
  buffer.require_ndim(1);
  buffer.require_dtype({DType::f32});
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

static Shape shape_of(Object value) {
  return integers<3>(value, "shape", -most_extent, most_extent);
}

static py::tuple multigrid_layout(Object shape, Object binary) {
  const PlatesHierarchy h =
      hierarchy(shape_of(shape), flag(binary, "binary"), {1, 1, 1}, {false, false}, nullptr);
  const PlatesLevel& l = h.levels[0];
  return py::make_tuple(h.floats, py::make_tuple(l.nz + 2, l.plane / l.row, l.row));
}

static void setup(Object codes_in, Object conductivity_in, Object weights_in, Object periodic_in,
                  Object binary_in, Object buffer_in) {
  const Weights weights = numbers<3>(weights_in, "weights");
  const Periodic periodic = flags<2>(periodic_in, "periodic");
  const bool binary = flag(binary_in, "binary");
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
  if (codes.size() == 0 || std::max({shape[0], shape[1], shape[2]}) > most_extent)
    throw py::value_error("`codes` must have 1 ... 2^31 - 1 cells an axis, got shape " +
                          shape_text(codes.shape()));
  require_own_memory({&buffer}, {&codes, &conductivity});
  codes.require_below(conductivity.extent(0), conductivity);
  float* const to = buffer_of(buffer, shape, binary, weights, periodic);
  const PlatesHierarchy h = hierarchy(shape, binary, weights, periodic, to);
  const double* const k = conductivity.data<const double>();
  const double w[3] = {weights[0], weights[1], weights[2]};
  const auto* const c = static_cast<const std::uint8_t*>(codes.data_untyped());
  const py::gil_scoped_release no_gil; // from here on no Python object is touched
  multigrid_setup(h, c, k, w);
}

static void cycle(Object buffer_in, Object shape_in, Object binary_in, Object weights_in,
                  Object periodic_in, Object z_in, Object r_in, Object visits_in, Object rz_in,
                  Object partials_in, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Shape shape = shape_of(shape_in);
  const bool binary = flag(binary_in, "binary");
  const Weights weights = numbers<3>(weights_in, "weights");
  const Periodic periodic = flags<2>(periodic_in, "periodic");
  const int visits = static_cast<int>(integer(visits_in, "visits", 1, 2));
  const Array buffer(buffer_in, "buffer", Access::write, stream);
  const Array z(z_in, "z", Access::write, stream), r(r_in, "r", Access::read, stream);
  const Array rz(rz_in, "rz", Access::write, stream);
  const PlatesHierarchy h = hierarchy(shape, binary, weights, periodic,
                                      buffer_of(buffer, shape, binary, weights, periodic));
  require_padded(z, h);
  require_padded(r, h);
  for (const Array* a : {&z, &r, &rz})
    a->require_same_device(buffer);
  rz.require_shape({1});
  const Scratch scratch(partials_in, stream, buffer, reduce_partials);
  require_own_memory({&buffer, &z, &rz, scratch.array()}, {&r});
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
