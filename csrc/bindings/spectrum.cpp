// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/spectrum.hpp"

#include "bindings/bindings.hpp"

#include <array> // for array

namespace micro3d {

using Lags = std::array<Index, 3>; // size, positive, padded

template <class T>
static void load_phase_as(const Array& l, const std::optional<Array>& m, const Array& to, int phase,
                          bool any, Stream stream, int threads) {
  LoadPhase<T> op{static_cast<const std::uint8_t*>(l.data_untyped()),
                  nullptr,
                  {l.stride(0), l.stride(1), l.stride(2)},
                  {0, 0, 0},
                  l.extent(1),
                  l.extent(2),
                  to.extent(1),
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
  run_on_device(
      l, stream, [&] { load_phase_cpu(n, op, threads); },
      [&](std::uintptr_t s) { load_phase_cuda(n, op, s); });
}

static void load_phase(Object labels, Object mask, Object out, Object phase_in, Object any_in,
                       Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const int phase = static_cast<int>(integer(phase_in, "phase", 0, 255));
  const bool any = flag(any_in, "any");
  const Array l(labels, "labels", Access::read, stream), to(out, "out", Access::write, stream);
  l.require_ndim(3);
  l.require_dtype({DType::u8});
  to.require_ndim(3);
  to.require_shape({l.extent(0), to.extent(1), to.extent(2)});
  to.require_dtype({DType::f32, DType::f64});
  to.require_contiguous();
  to.require_same_device(l);
  if (to.extent(1) < l.extent(1) || to.extent(2) < l.extent(2))
    throw py::value_error("`out` must be at least as long as `labels` along y and x");
  const std::optional<Array> m = optional_mask(mask, stream, l);
  require_own_memory({&to}, {&l, or_null(m)});
  if (to.size() == 0)
    return;
  with_real_type(
      to, [&](auto zero) { load_phase_as<decltype(zero)>(l, m, to, phase, any, stream, threads); });
}

static void multiply_spectra(Object a, Object b, Object out, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Array first(a, "a", Access::read, stream);
  first.require_dtype({DType::c64, DType::c128});
  first.require_contiguous();
  const bool power = b.is_none();
  const Array result(power ? out : b, power ? "out" : "b", Access::write, stream);
  const DType part = first.dtype() == DType::c64 ? DType::f32 : DType::f64;
  result.require_dtype({power ? part : first.dtype()});
  result.require_shape(first.shape());
  result.require_contiguous();
  result.require_same_device(first);
  require_own_memory({&result}, {&first});
  with_real_type(first, [&](auto zero) {
    using T = decltype(zero);
    T* const to = static_cast<T*>(result.data_untyped());
    const MultiplySpectra<T> op{static_cast<const T*>(first.data_untyped()), power ? nullptr : to,
                                power ? to : nullptr};
    const Index n = first.size();
    run_on_device(
        first, stream, [&] { multiply_spectra_cpu(n, op, threads); },
        [&](std::uintptr_t s) { multiply_spectra_cuda(n, op, s); });
  });
}

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

/// The planes must hold every lag that is kept.
static void check_planes(const Array& in, Index first, Index size_z, const Lags& y, const Lags& x) {
  in.require_ndim(3);
  in.require_dtype({DType::f32, DType::f64});
  in.require_shape({in.extent(0), y[2], x[2]});
  if (in.size() > 0 && in.extent(2) > 1 && in.stride(2) != 1)
    throw py::value_error("`planes` must be contiguous along x");
  const auto fits = [](const Lags& w) { return w[0] <= w[2] && w[1] <= w[0]; };
  if (!fits(y) || !fits(x) || first + in.extent(0) > size_z)
    throw py::value_error("`planes` must hold the lags that are kept");
}

/// Vectors of float64, one per axis; none of them, or all.
struct Factors {
  std::optional<Array> axis[3];
  std::array<const double*, 3> data{nullptr, nullptr, nullptr};

  Factors(Object given, const char* name, const std::array<Index, 3>& sizes, const Array& like,
          Stream stream) {
    if (given.is_none())
      return;
    const auto vectors = items(given, name, 3);
    for (std::size_t k = 0; k < 3; ++k) {
      axis[k].emplace(vectors[k], name, Access::read, stream);
      axis[k]->require_shape({sizes[k]});
      axis[k]->require_contiguous();
      axis[k]->require_same_device(like);
      data[k] = axis[k]->data<const double>();
    }
  }
};

static Lags lags_of(Object value, const char* name) {
  return integers<3>(value, name, 1, most_extent);
}

static void store_counts(Object planes, Object out, Object first_in, Object y_in, Object x_in,
                         Object scale_in, Object pairs, Object mirrored_in, Object stream_in,
                         Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Index first = integer(first_in, "first", 0, most_extent);
  const Lags y = lags_of(y_in, "y"), x = lags_of(x_in, "x");
  const double scale = number(scale_in, "scale");
  const bool mirrored = flag(mirrored_in, "mirrored");
  const Array in(planes, "planes", Access::read, stream), to(out, "out", Access::write, stream);
  to.require_ndim(3);
  to.require_shape({to.extent(0), y[0], x[0]});
  to.require_contiguous();
  to.require_dtype({in.dtype()});
  to.require_same_device(in);
  check_planes(in, first, to.extent(0), y, x);
  const Factors factors(pairs, "pairs", {to.extent(0), y[0], x[0]}, in, stream);
  require_own_memory(
      {&to}, {&in, or_null(factors.axis[0]), or_null(factors.axis[1]), or_null(factors.axis[2])});
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    StoreCounts<T> op = planes_of<T>(in, first, to.extent(0), y, x, scale, factors.data, mirrored);
    op.out = to.data<T>();
    const Index n = in.extent(0);
    run_on_device(
        in, stream, [&] { store_counts_cpu(n, op, threads); },
        [&](std::uintptr_t s) { store_counts_cuda(n, op, s); });
  };
  with_real_type(in, run);
}

static void sum_radially(Object planes, Object hits, Object pairs, Object lags, Object first_in,
                         Object size_z_in, Object y_in, Object x_in, Object scale_in,
                         Object pair_factors, Object squares, Object width_in, Object mirrored_in,
                         Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Index first = integer(first_in, "first", 0, most_extent);
  const Index size_z = integer(size_z_in, "size_z", 0, most_extent);
  const Lags y = lags_of(y_in, "y"), x = lags_of(x_in, "x");
  const double scale = number(scale_in, "scale"), width = number(width_in, "width");
  const bool mirrored = flag(mirrored_in, "mirrored");
  const Array in(planes, "planes", Access::read, stream), h(hits, "hits", Access::write, stream);
  check_planes(in, first, size_z, y, x);
  const std::optional<Array> more[2] = {optional_array(pairs, "pairs", Access::write, stream, in),
                                        optional_array(lags, "lags", Access::write, stream, in)};
  h.require_ndim(1);
  h.require_contiguous();
  h.require_same_device(in);
  for (const auto& m : more)
    if (m) {
      m->require_shape(h.shape());
      m->require_contiguous();
    }
  const std::array<Index, 3> sizes{size_z, y[0], x[0]};
  const Factors factors(pair_factors, "pair_factors", sizes, in, stream);
  const Factors lengths(squares, "squares", sizes, in, stream);
  require_own_memory({&h, or_null(more[0]), or_null(more[1])}, {&in});
  for (const Factors* const f : {&factors, &lengths})
    for (const auto& a : f->axis)
      require_own_memory({&h, or_null(more[0]), or_null(more[1])}, {or_null(a)});
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
                            data_or_null<std::int64_t>(more[0]),
                            data_or_null<std::int64_t>(more[1])};
    const Index n = in.extent(0);
    run_on_device(
        in, stream, [&] { sum_radially_cpu(n, op, threads); },
        [&](std::uintptr_t s) { sum_radially_cuda(n, op, s); });
  };
  with_real_type(in, run);
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
        py::arg("mirrored"), py::arg("stream"), py::arg("threads"));
}
M3D_BINDING(bind_spectrum);

} // namespace micro3d
