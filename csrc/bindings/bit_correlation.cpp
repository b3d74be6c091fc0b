// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/bit_correlation.hpp"

#include "bindings/bindings.hpp"

#include <array> // for array

namespace micro3d {

using Steps = std::array<Index, 3>;

static void require_slabs(const Array& bits, Index slabs) {
  bits.require_ndim(2);
  bits.require_shape({slabs, bits.extent(1)});
  bits.require_contiguous();
}

static void pack_bits(Object labels, Object mask, Object out, Object phase_in, Object any_in,
                      Object words_in, Object all_rows_in, Object all_columns_in, Object stream_in,
                      Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const auto phase = static_cast<std::uint8_t>(integer(phase_in, "phase", 0, 255));
  const bool any = flag(any_in, "any");
  const Index words = integer(words_in, "words", 1, most_extent);
  const Index all_rows = integer(all_rows_in, "all_rows", 1, most_extent);
  const Index all_columns = integer(all_columns_in, "all_columns", 1, too_large);
  const Array l(labels, "labels", Access::read, stream);
  const Array to(out, "out", Access::write, stream);
  l.require_ndim(3);
  l.require_dtype({DType::u8});
  require_slabs(to, l.extent(0));
  to.require_same_device(l);
  if (l.size() == 0)
    throw py::value_error("`labels` must not be empty, got shape " + shape_text(l.shape()));
  if (all_rows < l.extent(1) || all_columns < l.extent(2) || words * bits_per_word < all_columns ||
      to.extent(1) < product(all_rows + 1, words) + spare_words)
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
              phase,
              any};
  const std::optional<Array> m = optional_mask(mask, stream, l);
  if (m) {
    op.mask = static_cast<const std::uint8_t*>(m->data_untyped());
    op.mask_o = m->stride(0);
    op.mask_i = m->stride(1);
    op.mask_b = m->stride(2);
  }
  require_own_memory({&to}, {&l, or_null(m)});
  run_on_device(
      l, stream, [&] { pack_bits_cpu(op, threads); },
      [&](std::uintptr_t s) { pack_bits_cuda(op, s); });
}

/// Two packed volumes and the counts of a lattice; every word that a lag can reach must exist.
struct Operands {
  Array a, b, counts;
  BitLattice lattice;

  Operands(Object first, Object second, Object to, Object rows_in, Object words_in, Object steps_in,
           Object wrap_o_in, Object wrap_i_in, Stream stream)
      : a(first, "a", Access::read, stream), b(second, "b", Access::read, stream),
        counts(to, "counts", Access::write, stream) {
    const Index rows = integer(rows_in, "rows", 1, most_extent);
    const Index words = integer(words_in, "words", 1, most_extent);
    const Steps steps = integers<3>(steps_in, "steps", 0, most_extent);
    const bool wrap_o = flag(wrap_o_in, "wrap_o"), wrap_i = flag(wrap_i_in, "wrap_i");
    a.require_ndim(2);
    require_slabs(a, a.extent(0));
    require_slabs(b, a.extent(0));
    b.require_shape(a.shape());
    b.require_same_device(a);
    counts.require_ndim(2);
    counts.require_shape({a.extent(0), counts.extent(1)});
    counts.require_contiguous();
    counts.require_same_device(a);
    require_own_memory({&counts}, {&a, &b});
    const Index lags = counts.extent(1);
    if (lags < 1 || lags > most_extent)
      throw py::value_error("`counts` must have 1 ... 2^31 - 1 lags, got shape " +
                            shape_text(counts.shape()));
    const Index along = product(lags - 1, steps[1]), across = product(lags - 1, steps[2]);
    const Index reach = sum(product(sum(rows, wrap_i ? along : 0), words), across / bits_per_word);
    if (a.extent(1) < reach + 1 + spare_words || product(along, words) >= too_large)
      throw py::value_error("`a` must hold the rows that the longest lag reaches");
    lattice = {a.extent(0), rows,     words,  a.extent(1), steps[0],
               steps[1],    steps[2], wrap_o, wrap_i,      lags};
  }
  template <class Op> Op as() const {
    return {lattice, reinterpret_cast<const Word*>(a.data<const std::int64_t>()),
            reinterpret_cast<const Word*>(b.data<const std::int64_t>()),
            counts.data<std::int64_t>()};
  }
};

static void bit_pairs(Object a, Object b, Object counts, Object rows, Object words, Object steps,
                      Object wrap_o, Object wrap_i, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Operands o(a, b, counts, rows, words, steps, wrap_o, wrap_i, stream);
  const auto op = o.as<BitPairs>();
  run_on_device(
      o.a, stream, [&] { bit_pairs_cpu(op, threads); },
      [&](std::uintptr_t s) { bit_pairs_cuda(op, s); });
}

static void bit_segments(Object a, Object b, Object counts, Object rows, Object words, Object steps,
                         Object wrap_o, Object wrap_i, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Operands o(a, b, counts, rows, words, steps, wrap_o, wrap_i, stream);
  const auto op = o.as<BitSegments>();
  run_on_device(
      o.a, stream, [&] { bit_segments_cpu(op, threads); },
      [&](std::uintptr_t s) { bit_segments_cuda(op, s); });
}

static void bind_bit_correlation(py::module_& m) {
  m.def("pack_bits", &pack_bits, py::arg("labels"), py::arg("mask"), py::arg("out"),
        py::arg("phase"), py::arg("any"), py::arg("words"), py::arg("all_rows"),
        py::arg("all_columns"), py::arg("stream"), py::arg("threads"));
  const auto bind_counts = [&](const char* name, auto function) {
    m.def(name, function, py::arg("a"), py::arg("b"), py::arg("counts"), py::arg("rows"),
          py::arg("words"), py::arg("steps"), py::arg("wrap_o"), py::arg("wrap_i"),
          py::arg("stream"), py::arg("threads"));
  };
  bind_counts("bit_pairs", &bit_pairs);
  bind_counts("bit_segments", &bit_segments);
}
M3D_BINDING(bind_bit_correlation);

} // namespace micro3d
