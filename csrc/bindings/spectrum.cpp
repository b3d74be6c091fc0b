// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/spectrum.hpp"

#include "bindings/bindings.hpp"
#include "core/device.hpp" // for DeviceGuard

#include <array>   // for array
#include <utility> // for forward

namespace micro3d {

using Stream = std::optional<std::uintptr_t>;
using Lags = std::array<Index, 3>; // size, positive, padded

/// Runs one of the two walks without the GIL.
template <class Cpu, class Cuda>
static void walk(const Array& where, const Stream& stream, Cpu&& cpu, Cuda&& cuda) {
  const py::gil_scoped_release no_gil; // from here on no Python object is touched
  if (where.is_cuda()) {
    const DeviceGuard guard(where.device_id());
    std::forward<Cuda>(cuda)(stream.value_or(1));
  } else {
    std::forward<Cpu>(cpu)();
  }
}

template <class T>
static void load_phase_as(const Array& l, const std::optional<Array>& m, const Array& to, int phase,
                          bool any, const Stream& stream, int threads) {
  LoadPhase<T> op{static_cast<const std::uint8_t*>(l.data_untyped()),
                  nullptr,
                  {l.stride(0), l.stride(1), l.stride(2)},
                  {0, 0, 0},
                  l.extent(1),
                  l.extent(2),
                  to.extent(2),
                  to.data<T>(),
                  static_cast<std::uint8_t>(phase),
                  any};
  if (m) {
    op.mask = static_cast<const std::uint8_t*>(m->data_untyped());
    for (int k = 0; k < 3; ++k)
      op.mask_stride[k] = m->stride(k);
  }
  const Index n = to.size();
  walk(
      l, stream, [&] { load_phase_cpu(n, op, threads); },
      [&](std::uintptr_t s) { load_phase_cuda(n, op, s); });
}

static void load_phase(const py::object& labels, const py::object& mask, const py::object& out,
                       int phase, bool any, const Stream& stream, int threads) {
  const Array l(labels, "labels", Access::read, stream), to(out, "out", Access::write, stream);
  l.require_ndim(3);
  l.require_dtype({DType::u8});
  to.require_ndim(3);
  to.require_shape({l.extent(0), l.extent(1), to.extent(2)});
  to.require_dtype({DType::f32, DType::f64});
  to.require_contiguous();
  to.require_same_device(l);
  if (to.extent(2) < l.extent(2))
    throw py::value_error("`out` must be at least as long as `labels` along x");
  std::optional<Array> m;
  if (!mask.is_none()) {
    m.emplace(mask, "mask", Access::read, stream);
    m->require_shape(l.shape());
    m->require_dtype({DType::u8});
    m->require_same_device(l);
  }
  if (to.dtype() == DType::f32)
    load_phase_as<float>(l, m, to, phase, any, stream, threads);
  else
    load_phase_as<double>(l, m, to, phase, any, stream, threads);
}

template <class T>
static void multiply_as(const Array& a, const std::optional<Array>& b,
                        const std::optional<Array>& out, const Stream& stream, int threads) {
  const MultiplySpectra<T> op{static_cast<const T*>(a.data_untyped()),
                              b ? static_cast<T*>(b->data_untyped()) : nullptr,
                              out ? out->data<T>() : nullptr};
  const Index n = a.size();
  walk(
      a, stream, [&] { multiply_spectra_cpu(n, op, threads); },
      [&](std::uintptr_t s) { multiply_spectra_cuda(n, op, s); });
}

static void multiply_spectra(const py::object& a, const py::object& b, const py::object& out,
                             const Stream& stream, int threads) {
  const Array first(a, "a", Access::read, stream);
  first.require_dtype({DType::c64, DType::c128});
  first.require_contiguous();
  std::optional<Array> second, power;
  if (b.is_none()) {
    power.emplace(out, "out", Access::write, stream);
    power->require_dtype({first.dtype() == DType::c64 ? DType::f32 : DType::f64});
    power->require_shape(first.shape());
    power->require_contiguous();
    power->require_same_device(first);
  } else {
    second.emplace(b, "b", Access::write, stream);
    second->require_dtype({first.dtype()});
    second->require_shape(first.shape());
    second->require_contiguous();
    second->require_same_device(first);
  }
  if (first.dtype() == DType::c64)
    multiply_as<float>(first, second, power, stream, threads);
  else
    multiply_as<double>(first, second, power, stream, threads);
}

/// Checks that the planes hold every lag asked for, and fills the struct.
template <class T>
static StoreCounts<T> planes_of(const Array& in, Index first, Index size_z, const Lags& y,
                                const Lags& x, double scale,
                                const std::array<const double*, 3>& pairs, bool mirrored) {
  return {static_cast<const T*>(in.data_untyped()),
          in.stride(0),
          in.stride(1),
          first,
          {y[0], y[1], y[2]},
          {x[0], x[1], x[2]},
          size_z,
          T(scale),
          pairs[0],
          pairs[1],
          pairs[2],
          nullptr,
          mirrored};
}

static void check_planes(const Array& in, Index first, Index size_z, const Lags& y, const Lags& x) {
  in.require_ndim(3);
  in.require_dtype({DType::f32, DType::f64});
  in.require_shape({in.extent(0), y[2], x[2]});
  if (in.size() > 0 && in.extent(2) > 1 && in.stride(2) != 1)
    throw py::value_error("`planes` must be contiguous along x");
  const auto fits = [](const Lags& w) {
    return w[0] >= 1 && w[0] <= w[2] && w[1] >= 1 && w[1] <= w[0];
  };
  if (!fits(y) || !fits(x) || first < 0 || first + in.extent(0) > size_z)
    throw py::value_error("`planes` must hold the lags that are kept");
}

/// Vectors of float64, one per axis; none of them, or all.
struct Factors {
  std::optional<Array> axis[3];
  std::array<const double*, 3> data{nullptr, nullptr, nullptr};

  Factors(const py::object& given, const char* name, const std::array<Index, 3>& sizes,
          const Array& like, const Stream& stream) {
    if (given.is_none())
      return;
    const auto vectors = given.cast<std::array<py::object, 3>>();
    for (std::size_t k = 0; k < 3; ++k) {
      axis[k].emplace(vectors[k], name, Access::read, stream);
      axis[k]->require_shape({sizes[k]});
      axis[k]->require_contiguous();
      axis[k]->require_same_device(like);
      data[k] = axis[k]->data<const double>();
    }
  }
};

static void store_counts(const py::object& planes, const py::object& out, Index first,
                         const Lags& y, const Lags& x, double scale, const py::object& pairs,
                         bool mirrored, const Stream& stream, int threads) {
  const Array in(planes, "planes", Access::read, stream), to(out, "out", Access::write, stream);
  to.require_ndim(3);
  to.require_shape({to.extent(0), y[0], x[0]});
  to.require_contiguous();
  to.require_dtype({in.dtype()});
  to.require_same_device(in);
  check_planes(in, first, to.extent(0), y, x);
  const Factors factors(pairs, "pairs", {to.extent(0), y[0], x[0]}, in, stream);
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    StoreCounts<T> op = planes_of<T>(in, first, to.extent(0), y, x, scale, factors.data, mirrored);
    op.out = to.data<T>();
    const Index n = in.extent(0);
    walk(
        in, stream, [&] { store_counts_cpu(n, op, threads); },
        [&](std::uintptr_t s) { store_counts_cuda(n, op, s); });
  };
  in.dtype() == DType::f32 ? run(float{}) : run(double{});
}

static void sum_radially(const py::object& planes, const py::object& hits, const py::object& pairs,
                         const py::object& lags, Index first, Index size_z, const Lags& y,
                         const Lags& x, double scale, const py::object& pair_factors,
                         const py::object& squares, double width, bool mirrored,
                         const Stream& stream, int threads, bool) {
  const Array in(planes, "planes", Access::read, stream), h(hits, "hits", Access::write, stream);
  check_planes(in, first, size_z, y, x);
  std::optional<Array> more[2];
  const py::object* given[2] = {&pairs, &lags};
  const char* names[2] = {"pairs", "lags"};
  for (int k = 0; k < 2; ++k)
    if (!given[k]->is_none())
      more[k].emplace(*given[k], names[k], Access::write, stream);
  h.require_ndim(1);
  h.require_contiguous();
  h.require_same_device(in);
  for (const auto& m : more)
    if (m) {
      m->require_shape(h.shape());
      m->require_contiguous();
      m->require_same_device(in);
    }
  const std::array<Index, 3> sizes{size_z, y[0], x[0]};
  const Factors factors(pair_factors, "pair_factors", sizes, in, stream);
  const Factors lengths(squares, "squares", sizes, in, stream);
  if (lengths.data[0] == nullptr || !(width > 0) || (more[0] && factors.data[0] == nullptr))
    throw py::value_error("`squares`, `width` and the factors of `pairs` must be given");
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    const SumRadially<T> op{planes_of<T>(in, first, size_z, y, x, scale, factors.data, mirrored),
                            lengths.data[0],
                            lengths.data[1],
                            lengths.data[2],
                            width,
                            h.extent(0),
                            h.data<std::int64_t>(),
                            more[0] ? more[0]->data<std::int64_t>() : nullptr,
                            more[1] ? more[1]->data<std::int64_t>() : nullptr};
    const Index n = in.extent(0);
    walk(
        in, stream, [&] { sum_radially_cpu(n, op, threads); },
        [&](std::uintptr_t s) { sum_radially_cuda(n, op, s); });
  };
  in.dtype() == DType::f32 ? run(float{}) : run(double{});
}

static void bind_spectrum(py::module_& m) {
  m.def("load_phase", &load_phase, py::arg("labels"), py::arg("mask"), py::arg("out"),
        py::arg("phase"), py::arg("any"), py::arg("stream"), py::arg("threads"));
  m.def("multiply_spectra", &multiply_spectra, py::arg("a"), py::arg("b"), py::arg("out"),
        py::arg("stream"), py::arg("threads"));
  m.def("store_counts", &store_counts, py::arg("planes"), py::arg("out"), py::arg("first"),
        py::arg("y"), py::arg("x"), py::arg("scale"), py::arg("pairs"), py::arg("mirrored"),
        py::arg("stream"), py::arg("threads"));
  m.def("sum_radially", &sum_radially, py::arg("planes"), py::arg("hits"), py::arg("pairs"),
        py::arg("lags"), py::arg("first"), py::arg("size_z"), py::arg("y"), py::arg("x"),
        py::arg("scale"), py::arg("pair_factors"), py::arg("squares"), py::arg("width"),
        py::arg("mirrored"), py::arg("stream"), py::arg("threads"),
        py::arg("walk_on_host") = false);
}
M3D_BINDING(bind_spectrum);

} // namespace micro3d
