// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/green.hpp"

#include <array>       // for array
#include <type_traits> // for integral_constant

#include "bindings/bindings.hpp"
#include "core/reduce.hpp" // for reduce_partials
#include "ops/green_convolve.hpp"

namespace micro3d {

/// What `green` and `separable_inverse` have in common: a spectrum, a table per axis and the sum of
/// a dot product.
struct Operands {
  Array data, z, y, x, sum;

  Operands(Object spectrum, const std::array<py::object, 3>& tables,
           const std::array<const char*, 3>& names, Object rz, Stream stream)
      : data(spectrum, "spectrum", Access::write, stream),
        z(tables[0], names[0], Access::read, stream), y(tables[1], names[1], Access::read, stream),
        x(tables[2], names[2], Access::read, stream), sum(rz, "rz", Access::write, stream) {}

  /// The last three axes of the spectrum are those of the tables, of so many rows each.
  void require(int ndim, std::vector<Index> rows, Index loads) const {
    data.require_ndim(ndim);
    data.require_contiguous();
    rows.push_back(0);
    int axis = ndim - 3;
    for (const Array* const table : {&z, &y, &x}) {
      rows.back() = data.extent(axis++);
      table->require_shape(rows);
      table->require_contiguous();
      table->require_same_device(data);
    }
    sum.require_shape({loads});
    sum.require_dtype({DType::f64});
    sum.require_contiguous();
    sum.require_same_device(data);
  }
  void require_own(const Scratch& scratch) const {
    require_own_memory({&data, &sum, scratch.array()}, {&z, &y, &x});
  }
};

static std::vector<double> symbol_of(Object value, const char* name) {
  std::vector<double> out;
  for (const py::object& item : items(value, name, -1))
    out.push_back(number(item, name));
  return out;
}

template <class T, int N>
static void set_symbol(Green<T, N>& op, const std::vector<double>& symbol,
                       const std::vector<double>& first) {
  constexpr int rows = Green<T, N>::outputs;
  if (symbol.size() != std::size_t(rows * 6) || (!first.empty() && first.size() != symbol.size()))
    throw py::value_error("`symbol` must hold " + std::to_string(rows * 6) + " numbers");
  for (int q = 0; q < rows; ++q)
    for (int p = 0; p < 6; ++p) {
      op.symbol[q][p] = T(symbol[std::size_t(q * 6 + p)]);
      op.first[q][p] = first.empty() ? T(0) : T(first[std::size_t(q * 6 + p)]);
    }
  op.bbar = !first.empty();
}

template <class T, int N>
static void green_as(const Operands& o, const Scratch& scratch, Index nx,
                     const std::vector<double>& symbol, const std::vector<double>& first,
                     bool divide, Stream stream, int threads) {
  Green<T, N> op{};
  set_symbol(op, symbol, first);
  op.data = static_cast<T*>(o.data.data_untyped());
  op.nz = o.data.extent(2);
  op.ny = o.data.extent(3);
  op.nx = nx;
  op.half = o.data.extent(4);
  op.z = o.z.data<const T>();
  op.y = o.y.data<const T>();
  op.x = o.x.data<const T>();
  op.scale = 1.0 / (double(op.nz) * double(op.ny) * double(nx));
  if (divide) {
    op.factor = T(op.scale);
    op.scale = 1.0;
  }
  double* const sum = o.sum.data<double>();
  double* const partial = scratch.data();
  const Index loads = o.data.extent(0);
  if (o.data.size() > 0)
    run_on_device(
        o.data, stream, [&] { green_cpu(loads, op, sum, threads); },
        [&](std::uintptr_t s) { green_cuda(loads, op, sum, partial, s); });
}

/// Calls call(T{}, integral_constant<int, 1 or 3>) for the components of a field.
template <class Call> static void with_components(const Array& field, const Call& call) {
  const Index components = field.extent(1);
  if (components != 1 && components != 3)
    throw py::value_error("`" + field.name() + "` must have 1 or 3 components, got shape " +
                          shape_text(field.shape()));
  with_real_type(field, [&](auto zero) {
    if (components == 1)
      call(zero, std::integral_constant<int, 1>{});
    else
      call(zero, std::integral_constant<int, 3>{});
  });
}

static void green(Object spectrum, Object nx_in, Object table_z, Object table_y, Object table_x,
                  Object symbol_in, Object first_in, Object divide_in, Object rz, Object partials,
                  Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Index nx = integer(nx_in, "nx", 1, most_extent);
  const std::vector<double> symbol = symbol_of(symbol_in, "symbol");
  const std::vector<double> first = symbol_of(first_in, "first");
  const bool divide = flag(divide_in, "divide");
  const Operands o(spectrum, {table_z, table_y, table_x}, {"table_z", "table_y", "table_x"}, rz,
                   stream);
  o.data.require_dtype({DType::c64, DType::c128});
  o.data.require_ndim(5);
  if (o.data.extent(4) != nx / 2 + 1)
    throw py::value_error("`spectrum` must have nx / 2 + 1 columns, got shape " +
                          shape_text(o.data.shape()));
  o.require(5, {4}, o.data.extent(0));
  const Scratch scratch(partials, stream, o.data, o.data.extent(0) * reduce_partials);
  o.require_own(scratch);
  with_components(o.data, [&](auto zero, auto components) {
    green_as<decltype(zero), components()>(o, scratch, nx, symbol, first, divide, stream, threads);
  });
}

template <class T, int N>
static void convolve_as(const Array& r, const Array& z, const Array& spectrum,
                        const std::vector<double>& symbol, const std::vector<double>& first,
                        const Array& rz, int threads) {
  GreenConvolve<T, N> op{};
  set_symbol(op.green, symbol, first);
  op.loads = r.extent(0);
  op.nz = r.extent(2);
  op.ny = r.extent(3);
  op.nx = r.extent(4);
  op.green.scale = 1.0 / double(op.nz * op.ny * op.nx);
  op.r = r.data<const T>();
  op.z = z.data<T>();
  op.spectrum = spectrum.data<T>();
  double* const sum = rz.data<double>();
  const py::gil_scoped_release no_gil; // from here on no Python object is touched
  green_convolve_cpu(op, sum, threads);
}

static void green_convolve(Object residual, Object result, Object spectrum, Object symbol_in,
                           Object first_in, Object rz, Object threads_in) {
  const int threads = thread_count(threads_in);
  const std::vector<double> symbol = symbol_of(symbol_in, "symbol");
  const std::vector<double> first = symbol_of(first_in, "first");
  const Array r(residual, "r", Access::read, std::nullopt);
  const Array z(result, "z", Access::write, std::nullopt);
  const Array work(spectrum, "spectrum", Access::write, std::nullopt);
  const Array sum(rz, "rz", Access::write, std::nullopt);
  if (r.is_cuda())
    throw py::value_error("`r` must be on the CPU; on CUDA the transforms are the caller's");
  r.require_dtype({DType::f32, DType::f64});
  r.require_ndim(5);
  if (r.size() == 0 || !green_convolve_takes(r.extent(2), r.extent(3), r.extent(4)))
    throw py::value_error("`r` must have lengths without a prime factor above 13, got shape " +
                          shape_text(r.shape()));
  z.require_shape(r.shape());
  work.require_shape({r.extent(0), r.extent(3) / 2 + 1, r.extent(1), r.extent(2), 2, r.extent(4)});
  for (const Array* a : {&r, &z, &work}) {
    a->require_contiguous();
    a->require_same_device(r);
    a->require_dtype({r.dtype()});
  }
  sum.require_shape({r.extent(0)});
  sum.require_same_device(r);
  sum.require_dtype({DType::f64});
  sum.require_contiguous();
  require_own_memory({&work, &sum}, {&r, &z});
  with_components(r, [&](auto zero, auto components) {
    convolve_as<decltype(zero), components()>(r, z, work, symbol, first, sum, threads);
  });
}

static bool convolve_takes(Object nz, Object ny, Object nx) {
  return green_convolve_takes(integer(nz, "nz", 1, most_extent), integer(ny, "ny", 1, most_extent),
                              integer(nx, "nx", 1, most_extent));
}

static void separable_inverse(Object spectrum, Object eigen_z, Object eigen_y, Object eigen_x,
                              Object rz, Object partials, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Operands o(spectrum, {eigen_z, eigen_y, eigen_x}, {"eigen_z", "eigen_y", "eigen_x"}, rz,
                   stream);
  o.require(3, {}, 1);
  o.data.require_dtype({DType::f32, DType::f64});
  const Scratch scratch(partials, stream, o.data, reduce_partials);
  o.require_own(scratch);
  if (o.data.size() == 0)
    return;
  with_real_type(o.data, [&](auto zero) {
    using T = decltype(zero);
    const SeparableInverse<T> op{o.data.data<T>(),   o.data.extent(0),    o.data.extent(1),
                                 o.data.extent(2),   o.z.data<const T>(), o.y.data<const T>(),
                                 o.x.data<const T>()};
    double* const sum = o.sum.data<double>();
    double* const partial = scratch.data();
    run_on_device(
        o.data, stream, [&] { separable_inverse_cpu(op, sum, threads); },
        [&](std::uintptr_t s) { separable_inverse_cuda(op, sum, partial, s); });
  });
}

static void bind_green(py::module_& m) {
  m.def("green", &green, py::arg("spectrum"), py::arg("nx"), py::arg("table_z"), py::arg("table_y"),
        py::arg("table_x"), py::arg("symbol"), py::arg("first"), py::arg("divide"), py::arg("rz"),
        py::arg("partials"), py::arg("stream"), py::arg("threads"));
  m.def("green_convolve", &green_convolve, py::arg("r"), py::arg("z"), py::arg("spectrum"),
        py::arg("symbol"), py::arg("first"), py::arg("rz"), py::arg("threads"));
  m.def("green_convolve_takes", &convolve_takes, py::arg("nz"), py::arg("ny"), py::arg("nx"));
  m.def("separable_inverse", &separable_inverse, py::arg("spectrum"), py::arg("eigen_z"),
        py::arg("eigen_y"), py::arg("eigen_x"), py::arg("rz"), py::arg("partials"),
        py::arg("stream"), py::arg("threads"));
  m.attr("REDUCE_PARTIALS") = reduce_partials;
}
M3D_BINDING(bind_green);

} // namespace micro3d
