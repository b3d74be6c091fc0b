// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/green.hpp"

#include "bindings/bindings.hpp"
#include "core/device.hpp" // for DeviceGuard
#include "core/reduce.hpp" // for reduce_partials
#include "ops/green_convolve.hpp"

namespace micro3d {

using Stream = std::optional<std::uintptr_t>;

static void require_partials(const std::optional<Array>& partials, const Array& data, Index loads) {
  if (data.is_cuda() && (!partials || partials->size() < loads * reduce_partials))
    throw py::value_error("`partials` must hold the scratch space of the dot");
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
static void green_as(const Array& data, Index nx, const Array& z, const Array& y, const Array& x,
                     const std::vector<double>& symbol, const std::vector<double>& first,
                     const Array& rz, const std::optional<Array>& partials, Stream stream,
                     int threads) {
  Green<T, N> op{};
  set_symbol(op, symbol, first);
  op.data = static_cast<T*>(data.data_untyped());
  op.nz = data.extent(2);
  op.ny = data.extent(3);
  op.nx = nx;
  op.half = data.extent(4);
  op.z = z.data<const T>();
  op.y = y.data<const T>();
  op.x = x.data<const T>();
  op.scale = 1.0 / (double(op.nz) * double(op.ny) * double(nx));
  double* const sum = rz.data<double>();
  double* const scratch = partials ? partials->data<double>() : nullptr;
  if (data.size() == 0)
    return;
  const py::gil_scoped_release no_gil; // from here on no Python object is touched
  if (data.is_cuda()) {
    const DeviceGuard guard(data.device_id());
    green_cuda(data.extent(0), op, sum, scratch, stream.value_or(1));
  } else {
    green_cpu(data.extent(0), op, sum, threads);
  }
}

static void green(const py::object& spectrum, Index nx, const py::object& table_z,
                  const py::object& table_y, const py::object& table_x,
                  const std::vector<double>& symbol, const std::vector<double>& first,
                  const py::object& rz, const py::object& partials, Stream stream, int threads) {
  const Array data(spectrum, "spectrum", Access::write, stream);
  const Array z(table_z, "table_z", Access::read, stream);
  const Array y(table_y, "table_y", Access::read, stream);
  const Array x(table_x, "table_x", Access::read, stream);
  const Array sum(rz, "rz", Access::write, stream);
  std::optional<Array> scratch;
  if (!partials.is_none())
    scratch.emplace(partials, "partials", Access::write, stream);
  data.require_dtype({DType::c64, DType::c128});
  data.require_ndim(5);
  data.require_contiguous();
  if (data.extent(4) != nx / 2 + 1)
    throw py::value_error("`spectrum` must have nx / 2 + 1 columns, got shape " +
                          shape_text(data.shape()));
  const Array* const tables[3] = {&z, &y, &x};
  for (int a = 0; a < 3; ++a) {
    tables[a]->require_shape({4, data.extent(2 + a)});
    tables[a]->require_contiguous();
    tables[a]->require_same_device(data);
  }
  sum.require_shape({data.extent(0)});
  sum.require_same_device(data);
  require_partials(scratch, data, data.extent(0));
  const bool single = data.dtype() == DType::c64;
  const Index components = data.extent(1);
  if (components == 1 && single)
    green_as<float, 1>(data, nx, z, y, x, symbol, first, sum, scratch, stream, threads);
  else if (components == 1)
    green_as<double, 1>(data, nx, z, y, x, symbol, first, sum, scratch, stream, threads);
  else if (components == 3 && single)
    green_as<float, 3>(data, nx, z, y, x, symbol, first, sum, scratch, stream, threads);
  else if (components == 3)
    green_as<double, 3>(data, nx, z, y, x, symbol, first, sum, scratch, stream, threads);
  else
    throw py::value_error("`spectrum` must have 1 or 3 components, got shape " +
                          shape_text(data.shape()));
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

static void green_convolve(const py::object& residual, const py::object& result,
                           const py::object& spectrum, const std::vector<double>& symbol,
                           const std::vector<double>& first, const py::object& rz, int threads) {
  const Array r(residual, "r", Access::read, std::nullopt);
  const Array z(result, "z", Access::write, std::nullopt);
  const Array work(spectrum, "spectrum", Access::write, std::nullopt);
  const Array sum(rz, "rz", Access::write, std::nullopt);
  if (r.is_cuda())
    throw py::value_error("`r` must be on the CPU; on CUDA the transforms are the caller's");
  r.require_dtype({DType::f32, DType::f64});
  r.require_ndim(5);
  const Index components = r.extent(1);
  if (components != 1 && components != 3)
    throw py::value_error("`r` must have 1 or 3 components, got shape " + shape_text(r.shape()));
  if (r.size() == 0 || !green_convolve_takes(r.extent(2), r.extent(3), r.extent(4)))
    throw py::value_error("`r` must have lengths without a prime factor above 13, got shape " +
                          shape_text(r.shape()));
  z.require_shape(r.shape());
  work.require_shape({r.extent(0), r.extent(3) / 2 + 1, components, r.extent(2), 2, r.extent(4)});
  for (const Array* a : {&r, &z, &work}) {
    a->require_contiguous();
    a->require_same_device(r);
    a->require_dtype({r.dtype()});
  }
  sum.require_shape({r.extent(0)});
  sum.require_same_device(r);
  sum.require_dtype({DType::f64});
  const bool single = r.dtype() == DType::f32;
  if (components == 1 && single)
    convolve_as<float, 1>(r, z, work, symbol, first, sum, threads);
  else if (components == 1)
    convolve_as<double, 1>(r, z, work, symbol, first, sum, threads);
  else if (single)
    convolve_as<float, 3>(r, z, work, symbol, first, sum, threads);
  else
    convolve_as<double, 3>(r, z, work, symbol, first, sum, threads);
}

template <class T>
static void separable_as(const Array& data, const Array& z, const Array& y, const Array& x,
                         const Array& rz, const std::optional<Array>& partials, Stream stream,
                         int threads) {
  const SeparableInverse<T> op{data.data<T>(),   data.extent(0),    data.extent(1),
                               data.extent(2),   z.data<const T>(), y.data<const T>(),
                               x.data<const T>()};
  double* const sum = rz.data<double>();
  double* const scratch = partials ? partials->data<double>() : nullptr;
  if (data.size() == 0)
    return;
  const py::gil_scoped_release no_gil; // from here on no Python object is touched
  if (data.is_cuda()) {
    const DeviceGuard guard(data.device_id());
    separable_inverse_cuda(op, sum, scratch, stream.value_or(1));
  } else {
    separable_inverse_cpu(op, sum, threads);
  }
}

static void separable_inverse(const py::object& spectrum, const py::object& eigen_z,
                              const py::object& eigen_y, const py::object& eigen_x,
                              const py::object& rz, const py::object& partials, Stream stream,
                              int threads) {
  const Array data(spectrum, "spectrum", Access::write, stream);
  const Array z(eigen_z, "eigen_z", Access::read, stream);
  const Array y(eigen_y, "eigen_y", Access::read, stream);
  const Array x(eigen_x, "eigen_x", Access::read, stream);
  const Array sum(rz, "rz", Access::write, stream);
  std::optional<Array> scratch;
  if (!partials.is_none())
    scratch.emplace(partials, "partials", Access::write, stream);
  data.require_ndim(3);
  data.require_contiguous();
  const Array* const tables[3] = {&z, &y, &x};
  for (int a = 0; a < 3; ++a) {
    tables[a]->require_shape({data.extent(a)});
    tables[a]->require_contiguous();
    tables[a]->require_same_device(data);
  }
  sum.require_shape({1});
  sum.require_same_device(data);
  require_partials(scratch, data, 1);
  data.require_dtype({DType::f32, DType::f64});
  if (data.dtype() == DType::f32)
    separable_as<float>(data, z, y, x, sum, scratch, stream, threads);
  else
    separable_as<double>(data, z, y, x, sum, scratch, stream, threads);
}

static void bind_green(py::module_& m) {
  m.def("green", &green, py::arg("spectrum"), py::arg("nx"), py::arg("table_z"), py::arg("table_y"),
        py::arg("table_x"), py::arg("symbol"), py::arg("first"), py::arg("rz"), py::arg("partials"),
        py::arg("stream"), py::arg("threads"));
  m.def("green_convolve", &green_convolve, py::arg("r"), py::arg("z"), py::arg("spectrum"),
        py::arg("symbol"), py::arg("first"), py::arg("rz"), py::arg("threads"));
  m.def("green_convolve_takes", &green_convolve_takes, py::arg("nz"), py::arg("ny"), py::arg("nx"));
  m.def("separable_inverse", &separable_inverse, py::arg("spectrum"), py::arg("eigen_z"),
        py::arg("eigen_y"), py::arg("eigen_x"), py::arg("rz"), py::arg("partials"),
        py::arg("stream"), py::arg("threads"));
  m.attr("REDUCE_PARTIALS") = reduce_partials;
}
M3D_BINDING(bind_green);

} // namespace micro3d
