// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/seven_point.hpp"

#include "bindings/bindings.hpp"
#include "core/device.hpp" // for DeviceGuard
#include "core/reduce.hpp" // for reduce_partials

#include <array> // for array

namespace micro3d {

namespace {

using Stream = std::optional<std::uintptr_t>;

template <class S, class T>
void run(const std::optional<Array>& u, const std::optional<Array>& low, const Array& out,
         const Array& codes, const Array& conductivity, const std::array<double, 3>& weights,
         const std::array<bool, 2>& periodic, bool binary, double plate, double sign,
         const std::string& dot_kind, const std::optional<Array>& dot,
         const std::optional<Array>& partials, Stream stream, int threads) {
  const SevenPoint<S, T> op{u ? u->data<const S>() : nullptr,
                            low ? low->data<const S>() : nullptr,
                            out.data<S>(),
                            out.extent(0),
                            out.extent(1),
                            out.extent(2),
                            out.stride(0),
                            out.stride(1),
                            static_cast<const std::uint8_t*>(codes.data_untyped()),
                            conductivity.data<const T>(),
                            T(weights[0]),
                            T(weights[1]),
                            T(weights[2]),
                            periodic[0],
                            periodic[1],
                            binary,
                            T(plate),
                            T(sign),
                            !dot                  ? SevenPointDot::none
                            : dot_kind == "input" ? SevenPointDot::input
                                                  : SevenPointDot::output,
                            dot ? dot->data<double>() : nullptr};
  double* const scratch = partials ? partials->data<double>() : nullptr;
  if (out.size() == 0)
    return;
  const py::gil_scoped_release no_gil; // from here on no Python object is touched
  if (out.is_cuda()) {
    const DeviceGuard guard(out.device_id());
    seven_point_cuda(op, scratch, stream.value_or(1));
  } else {
    seven_point_cpu(op, threads);
  }
}

} // namespace

static void seven_point(const py::object& u_in, const py::object& low_in, const py::object& out_in,
                        const py::object& codes_in, const py::object& conductivity_in,
                        const std::array<double, 3>& weights, const std::array<bool, 2>& periodic,
                        bool binary, double plate, double sign, const std::string& dot_kind,
                        const py::object& dot_in, const py::object& partials_in, Stream stream,
                        int threads, bool) {
  const Array out(out_in, "out", Access::write, stream);
  const Array codes(codes_in, "codes", Access::read, stream);
  const Array conductivity(conductivity_in, "conductivity", Access::read, stream);
  std::optional<Array> u, low, dot, partials;
  const auto take = [&](std::optional<Array>& to, const py::object& from, const char* name,
                        Access access) {
    if (from.is_none())
      return;
    to.emplace(from, name, access, stream);
    to->require_same_device(out);
  };
  take(u, u_in, "u", Access::read);
  take(low, low_in, "u_low", Access::read);
  take(dot, dot_in, "dot", Access::write);
  take(partials, partials_in, "partials", Access::write);
  out.require_ndim(3);
  out.require_distinct_elements();
  if (out.extent(2) > 1 && out.stride(2) != 1)
    throw py::value_error("`out` must be contiguous along its last axis");
  for (const auto* a : {&dot, &partials})
    if (*a)
      (*a)->require_contiguous();
  codes.require_shape(out.shape());
  codes.require_dtype({DType::u8});
  codes.require_contiguous();
  codes.require_same_device(out);
  conductivity.require_ndim(1);
  conductivity.require_contiguous();
  conductivity.require_same_device(out);
  for (const auto* a : {&u, &low})
    if (*a) {
      (*a)->require_shape(out.shape());
      (*a)->require_dtype({out.dtype()});
      (*a)->require_no_overlap(out);
      for (int i = 0; i < 3; ++i)
        if (out.extent(i) > 1 && (*a)->stride(i) != out.stride(i))
          throw py::value_error("`" + (*a)->name() + "` must have the strides of `out`");
    }
  if (dot)
    dot->require_shape({1});
  if (out.is_cuda() && (!partials || partials->size() < reduce_partials))
    throw py::value_error("`partials` must hold the scratch space of the dot");
  if (out.dtype() == DType::f32 && conductivity.dtype() == DType::f32 && !low)
    return run<float, float>(u, low, out, codes, conductivity, weights, periodic, binary, plate,
                             sign, dot_kind, dot, partials, stream, threads);
  if (out.dtype() == DType::f32 && conductivity.dtype() == DType::f64)
    return run<float, double>(u, low, out, codes, conductivity, weights, periodic, binary, plate,
                              sign, dot_kind, dot, partials, stream, threads);
  if (out.dtype() == DType::f64 && conductivity.dtype() == DType::f64 && !low)
    return run<double, double>(u, low, out, codes, conductivity, weights, periodic, binary, plate,
                               sign, dot_kind, dot, partials, stream, threads);
  throw py::type_error(
      "`out` and `conductivity` must be float32 and float32, float32 and float64 or "
      "float64 and float64 (`u_low`: the second)");
}

static void bind_seven_point(py::module_& m) {
  m.def("seven_point", &seven_point, py::arg("u"), py::arg("u_low"), py::arg("out"),
        py::arg("codes"), py::arg("conductivity"), py::arg("weights"), py::arg("periodic"),
        py::arg("binary"), py::arg("plate"), py::arg("sign"), py::arg("dot_kind"), py::arg("dot"),
        py::arg("partials"), py::arg("stream"), py::arg("threads"),
        py::arg("walk_on_host") = false);
}
M3D_BINDING(bind_seven_point);

} // namespace micro3d
