// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/bit_correlation.hpp"

#include "bindings/bindings.hpp"
#include "core/device.hpp" // for DeviceGuard

#include <array> // for array

namespace micro3d {

using Steps = std::array<Index, 3>;

static void require_slabs(const Array& bits, Index slabs) {
  bits.require_ndim(2);
  bits.require_shape({slabs, bits.extent(1)});
  bits.require_contiguous();
}

static void pack_bits(const py::object& labels, const py::object& mask, const py::object& out,
                      int phase, bool any, Index words, Index all_rows, Index all_columns,
                      std::optional<std::uintptr_t> stream, int threads, bool) {
  const Array l(labels, "labels", Access::read, stream);
  const Array to(out, "out", Access::write, stream);
  l.require_ndim(3);
  l.require_dtype({DType::u8});
  require_slabs(to, l.extent(0));
  to.require_same_device(l);
  if (phase < 0 || phase > 255)
    throw py::value_error("`phase` must lie in 0 ... 255");
  if (all_rows < l.extent(1) || all_columns < l.extent(2) || words * bits_per_word < all_columns ||
      to.extent(1) < (all_rows + 1) * words + spare_words)
    throw py::value_error("`out` must hold all rows and columns and the spare words");
  PackBits op{static_cast<const std::uint8_t*>(l.data_untyped()),
              nullptr,
              l.stride(0),
              l.stride(1),
              l.stride(2),
              0,
              0,
              0,
              l.extent(0),
              l.extent(1),
              l.extent(2),
              all_rows,
              all_columns,
              reinterpret_cast<Word*>(to.data<std::int64_t>()),
              words,
              to.extent(1),
              static_cast<std::uint8_t>(phase),
              any};
  std::optional<Array> m;
  if (!mask.is_none()) {
    m.emplace(mask, "mask", Access::read, stream);
    m->require_shape(l.shape());
    m->require_dtype({DType::u8});
    m->require_same_device(l);
    op.mask = static_cast<const std::uint8_t*>(m->data_untyped());
    op.mask_o = m->stride(0);
    op.mask_i = m->stride(1);
    op.mask_b = m->stride(2);
  }
  if (l.size() == 0)
    return;
  const py::gil_scoped_release no_gil; // from here on no Python object is touched
  if (l.is_cuda()) {
    const DeviceGuard guard(l.device_id());
    pack_bits_cuda(op, stream.value_or(1));
  } else {
    pack_bits_cpu(op, threads);
  }
}

/// The slabs and the lattice of two packed volumes; every word a lag can reach must exist.
static BitLattice lattice_of(const Array& a, const Array& b, const Array& counts, Index rows,
                             Index words, const Steps& steps, bool wrap_o, bool wrap_i) {
  require_slabs(a, a.extent(0));
  require_slabs(b, a.extent(0));
  b.require_shape(a.shape());
  b.require_same_device(a);
  counts.require_ndim(2);
  counts.require_shape({a.extent(0), counts.extent(1)});
  counts.require_contiguous();
  counts.require_same_device(a);
  const Index lags = counts.extent(1);
  if (lags < 1 || rows < 1 || words < 1 || steps[0] < 0 || steps[1] < 0 || steps[2] < 0)
    throw py::value_error("`rows`, `words` and `lags` must be positive and `steps` not negative");
  const Index beyond = wrap_i ? (lags - 1) * steps[1] : 0;
  const Index across = (lags - 1) * steps[2] / bits_per_word + 1;
  if (a.extent(1) < (rows + beyond) * words + across + spare_words)
    throw py::value_error("`a` must hold the rows that the longest lag reaches");
  return {a.extent(0), rows,     words,  a.extent(1), steps[0],
          steps[1],    steps[2], wrap_o, wrap_i,      lags};
}

static void bit_pairs(const py::object& a, const py::object& b, const py::object& counts,
                      Index rows, Index words, const Steps& steps, bool wrap_o, bool wrap_i,
                      std::optional<std::uintptr_t> stream, int threads, bool) {
  const Array first(a, "a", Access::read, stream), second(b, "b", Access::read, stream);
  const Array to(counts, "counts", Access::write, stream);
  const BitLattice lattice = lattice_of(first, second, to, rows, words, steps, wrap_o, wrap_i);
  const BitPairs op{lattice, reinterpret_cast<const Word*>(first.data<const std::int64_t>()),
                    reinterpret_cast<const Word*>(second.data<const std::int64_t>()),
                    to.data<std::int64_t>()};
  const py::gil_scoped_release no_gil;
  if (first.is_cuda()) {
    const DeviceGuard guard(first.device_id());
    bit_pairs_cuda(op, stream.value_or(1));
  } else {
    bit_pairs_cpu(op, threads);
  }
}

static void bit_segments(const py::object& a, const py::object& b, const py::object& counts,
                         Index rows, Index words, const Steps& steps, bool wrap_o, bool wrap_i,
                         std::optional<std::uintptr_t> stream, int threads) {
  const Array first(a, "a", Access::read, stream), second(b, "b", Access::read, stream);
  const Array to(counts, "counts", Access::write, stream);
  const BitLattice lattice = lattice_of(first, second, to, rows, words, steps, wrap_o, wrap_i);
  const BitSegments op{lattice, reinterpret_cast<const Word*>(first.data<const std::int64_t>()),
                       reinterpret_cast<const Word*>(second.data<const std::int64_t>()),
                       to.data<std::int64_t>()};
  const py::gil_scoped_release no_gil;
  if (first.is_cuda()) {
    const DeviceGuard guard(first.device_id());
    bit_segments_cuda(op, stream.value_or(1));
  } else {
    bit_segments_cpu(op, threads);
  }
}

static void bind_bit_correlation(py::module_& m) {
  m.def("pack_bits", &pack_bits, py::arg("labels"), py::arg("mask"), py::arg("out"),
        py::arg("phase"), py::arg("any"), py::arg("words"), py::arg("all_rows"),
        py::arg("all_columns"), py::arg("stream"), py::arg("threads"),
        py::arg("walk_on_host") = false);
  m.def("bit_pairs", &bit_pairs, py::arg("a"), py::arg("b"), py::arg("counts"), py::arg("rows"),
        py::arg("words"), py::arg("steps"), py::arg("wrap_o"), py::arg("wrap_i"), py::arg("stream"),
        py::arg("threads"), py::arg("phases_on_host") = false);
  m.def("bit_segments", &bit_segments, py::arg("a"), py::arg("b"), py::arg("counts"),
        py::arg("rows"), py::arg("words"), py::arg("steps"), py::arg("wrap_o"), py::arg("wrap_i"),
        py::arg("stream"), py::arg("threads"));
}
M3D_BINDING(bind_bit_correlation);

} // namespace micro3d
