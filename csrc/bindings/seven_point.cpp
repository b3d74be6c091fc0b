// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/seven_point.hpp"

#include "bindings/bindings.hpp"
#include "core/reduce.hpp" // for reduce_partials

#include <array> // for array

namespace micro3d {

namespace {

template <class S, class T>
void run(const std::optional<Array>& u, const std::optional<Array>& low, const Array& out,
         const Array& codes, const Array& conductivity, const std::array<double, 3>& weights,
         const std::array<bool, 2>& periodic, bool binary, double plate, double sign,
         const std::string& dot_kind, const std::optional<Array>& dot, const Scratch& scratch,
         Stream stream, int threads) {
  const SevenPoint<S, T> op{data_or_null<const S>(u),
                            data_or_null<const S>(low),
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
                            data_or_null<double>(dot)};
  double* const partial = scratch.data();
  if (out.size() > 0)
    run_on_device(
        out, stream, [&] { seven_point_cpu(op, threads); },
        [&](std::uintptr_t s) { seven_point_cuda(op, partial, s); });
}

} // namespace

static void seven_point(Object u_in, Object low_in, Object out_in, Object codes_in,
                        Object conductivity_in, Object weights_in, Object periodic_in,
                        Object binary_in, Object plate_in, Object sign_in, Object dot_kind_in,
                        Object dot_in, Object partials_in, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const std::array<double, 3> weights = numbers<3>(weights_in, "weights");
  const std::array<bool, 2> periodic = flags<2>(periodic_in, "periodic");
  const bool binary = flag(binary_in, "binary");
  const double plate = number(plate_in, "plate"), sign = number(sign_in, "sign");
  const std::string dot_kind = dot_kind_of(dot_kind_in);
  const Array out(out_in, "out", Access::write, stream);
  const Array codes(codes_in, "codes", Access::read, stream);
  const Array conductivity(conductivity_in, "conductivity", Access::read, stream);
  out.require_ndim(3);
  out.require_distinct_elements();
  if (out.extent(2) > 1 && out.stride(2) != 1)
    throw py::value_error("`out` must be contiguous along its last axis");
  codes.require_shape(out.shape());
  codes.require_dtype({DType::u8});
  codes.require_contiguous();
  codes.require_same_device(out);
  conductivity.require_ndim(1);
  conductivity.require_contiguous();
  conductivity.require_same_device(out);
  const std::optional<Array> u = optional_field(u_in, "u", stream, out);
  const std::optional<Array> low = optional_field(low_in, "u_low", stream, out);
  for (const auto* a : {&u, &low})
    for (int i = 0; *a && i < 3; ++i)
      if (out.extent(i) > 1 && (*a)->stride(i) != out.stride(i))
        throw py::value_error("`" + (*a)->name() + "` must have the strides of `out`");
  const std::optional<Array> dot = optional_array(dot_in, "dot", Access::write, stream, out);
  if (dot)
    dot->require_shape({1});
  const Scratch scratch(partials_in, stream, out, reduce_partials);
  require_own_memory({&out, or_null(dot), scratch.array()},
                     {or_null(u), or_null(low), &codes, &conductivity});
  codes.require_below(conductivity.extent(0), conductivity);
  if (out.dtype() == DType::f32 && conductivity.dtype() == DType::f32 && !low)
    return run<float, float>(u, low, out, codes, conductivity, weights, periodic, binary, plate,
                             sign, dot_kind, dot, scratch, stream, threads);
  if (out.dtype() == DType::f32 && conductivity.dtype() == DType::f64)
    return run<float, double>(u, low, out, codes, conductivity, weights, periodic, binary, plate,
                              sign, dot_kind, dot, scratch, stream, threads);
  if (out.dtype() == DType::f64 && conductivity.dtype() == DType::f64 && !low)
    return run<double, double>(u, low, out, codes, conductivity, weights, periodic, binary, plate,
                               sign, dot_kind, dot, scratch, stream, threads);
  throw py::type_error(
      "`out` and `conductivity` must be float32 and float32, float32 and float64 or "
      "float64 and float64 (`u_low`: the second)");
}

static void bind_seven_point(py::module_& m) {
  m.def("seven_point", &seven_point, py::arg("u"), py::arg("u_low"), py::arg("out"),
        py::arg("codes"), py::arg("conductivity"), py::arg("weights"), py::arg("periodic"),
        py::arg("binary"), py::arg("plate"), py::arg("sign"), py::arg("dot_kind"), py::arg("dot"),
        py::arg("partials"), py::arg("stream"), py::arg("threads"));
}
M3D_BINDING(bind_seven_point);

} // namespace micro3d
