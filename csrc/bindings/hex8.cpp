// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/hex8.hpp"

#include "bindings/bindings.hpp"

namespace micro3d {

namespace {

struct ModelRow {
  const char* name;
  int components, coefficients, strains;
  bool float_only;
};

/// The models of for_each_model, in its order.
const std::vector<ModelRow>& models() {
  static const std::vector<ModelRow> rows = [] {
    std::vector<ModelRow> found;
    for_each_model<float>([&](auto model) {
      using M = decltype(model);
      found.push_back({M::name, M::components, M::coefficients, M::strains, M::float_only});
    });
    return found;
  }();
  return rows;
}

int model_index(const std::string& name) {
  for (std::size_t i = 0; i < models().size(); ++i)
    if (name == models()[i].name)
      return static_cast<int>(i);
  throw py::value_error("`model` must be one of HEX8_MODELS, got '" + name.substr(0, 60) + "'");
}

/// The arrays of one call, checked; everything contiguous, on one device.
struct Arrays {
  Array out, labels, mean, rest, macro;
  std::optional<Array> u, u_low, directions, fibre, dot;
  Scratch scratch;

  Arrays(Object u_, Object u_low_, Object out_, Object labels_, Object mean_, Object rest_,
         Object directions_, Object fibre_, Object macro_, Object dot_, Object partials_,
         const ModelRow& m, Stream stream)
      : out(out_, "out", Access::write, stream), labels(labels_, "labels", Access::read, stream),
        mean(mean_, "mean", Access::read, stream), rest(rest_, "rest", Access::read, stream),
        macro(macro_, "macro", Access::read, stream), u(optional_field(u_, "u", stream, out)),
        u_low(optional_field(u_low_, "u_low", stream, out)),
        directions(optional_array(directions_, "directions", Access::read, stream, out)),
        fibre(optional_array(fibre_, "fibre", Access::read, stream, out)),
        dot(optional_array(dot_, "dot", Access::write, stream, out)),
        scratch(partials_, stream, out, dot ? hex8_partials : 0) {
    for (const auto* a : {&u, &u_low, &directions, &fibre, &dot})
      if (*a)
        (*a)->require_contiguous();
    for (const Array* a : {&out, &labels, &mean, &rest, &macro}) {
      a->require_contiguous();
      a->require_same_device(out);
    }
    require_own_memory({&out, or_null(dot), scratch.array()},
                       {&labels, &mean, &rest, &macro, or_null(u), or_null(u_low),
                        or_null(directions), or_null(fibre)});
    labels.require_ndim(3);
    labels.require_dtype({DType::u8});
    out.require_ndim(5);
    out.require_shape(
        {out.extent(0), m.components, labels.extent(0), labels.extent(1), labels.extent(2)});
    mean.require_ndim(2);
    mean.require_shape({m.coefficients, mean.extent(1)});
    rest.require_shape(mean.shape());
    rest.require_dtype({mean.dtype()});
    macro.require_shape({out.extent(0), m.strains});
    macro.require_dtype({mean.dtype()});
    if (directions) {
      if (m.coefficients != 21 || !fibre)
        throw py::value_error("`directions` must come with `fibre` and a model of 21 coefficients");
      directions->require_shape({3, labels.extent(0), labels.extent(1), labels.extent(2)});
      directions->require_dtype({out.dtype()});
      fibre->require_shape({6, mean.extent(1)});
      fibre->require_dtype({mean.dtype()});
    }
    if (dot)
      dot->require_shape({out.extent(0)});
    labels.require_below(mean.extent(1), mean);
  }
};

template <class S, class T>
void run(const Arrays& a, int model, double sign, const std::string& dot_kind, Stream stream,
         int threads) {
  const T* const mean = a.mean.data<const T>();
  const T* const rest = a.rest.data<const T>();
  const Hex8Dot kind = !a.dot                ? Hex8Dot::none
                       : dot_kind == "input" ? Hex8Dot::input
                                             : Hex8Dot::output;
  const Hex8<S, T> op{data_or_null<const S>(a.u),
                      data_or_null<const S>(a.u_low),
                      a.out.data<S>(),
                      a.out.extent(0),
                      a.labels.extent(0),
                      a.labels.extent(1),
                      a.labels.extent(2),
                      static_cast<const std::uint8_t*>(a.labels.data_untyped()),
                      mean,
                      rest,
                      a.mean.extent(1),
                      data_or_null<const S>(a.directions),
                      data_or_null<const T>(a.fibre),
                      a.macro.data<const T>(),
                      T(sign),
                      kind,
                      data_or_null<double>(a.dot)};
  double* const partial = a.scratch.data();
  if (a.out.size() > 0)
    run_on_device(
        a.out, stream, [&] { hex8_cpu(op, model, threads); },
        [&](std::uintptr_t s) { hex8_cuda(op, model, partial, s); });
}

} // namespace

static void hex8(Object u, Object u_low, Object out, Object labels, Object model, Object mean,
                 Object rest, Object directions, Object fibre, Object macro, Object sign_in,
                 Object dot_kind_in, Object dot, Object partials, Object stream_in,
                 Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const double sign = number(sign_in, "sign");
  const std::string dot_kind = dot_kind_of(dot_kind_in);
  const int index = model_index(text(model, "model"));
  const ModelRow& m = models()[std::size_t(index)];
  if (m.float_only)
    Array(mean, "mean", Access::read, stream).require_dtype({DType::f32});
  const Arrays a(u, u_low, out, labels, mean, rest, directions, fibre, macro, dot, partials, m,
                 stream);
  if (a.out.dtype() == DType::f32 && a.mean.dtype() == DType::f32 && !a.u_low)
    return run<float, float>(a, index, sign, dot_kind, stream, threads);
  if (a.out.dtype() == DType::f32 && a.mean.dtype() == DType::f64)
    return run<float, double>(a, index, sign, dot_kind, stream, threads);
  if (a.out.dtype() == DType::f64 && a.mean.dtype() == DType::f64 && !a.u_low)
    return run<double, double>(a, index, sign, dot_kind, stream, threads);
  throw py::type_error(
      "`out` and `mean` must be float32 and float32, float32 and float64 or float64 "
      "and float64 (`u_low`: the second), got " +
      std::string(dtype_name(a.out.dtype())) + " and " + dtype_name(a.mean.dtype()));
}

static void bind_hex8(py::module_& m) {
  m.def("hex8", &hex8, py::arg("u"), py::arg("u_low"), py::arg("out"), py::arg("labels"),
        py::arg("model"), py::arg("mean"), py::arg("rest"), py::arg("directions"), py::arg("fibre"),
        py::arg("macro"), py::arg("sign"), py::arg("dot_kind"), py::arg("dot"), py::arg("partials"),
        py::arg("stream"), py::arg("threads"));
  m.attr("HEX8_PARTIALS") = hex8_partials;
  py::dict sizes;
  for (const ModelRow& row : models())
    sizes[row.name] = py::make_tuple(row.components, row.coefficients, row.strains, row.float_only);
  m.attr("HEX8_MODELS") = sizes;
}
M3D_BINDING(bind_hex8);

} // namespace micro3d
