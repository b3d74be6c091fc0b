// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/bytes.hpp"  // for differing_bytes, load_aligned
#include "core/config.hpp" // for M3D_HD, Index

#include <cstdint> // for uint64_t

namespace micro3d {

// Correlations along a lattice direction, counted on packed bits: shift, AND, popcount.
//
// A volume is slabs o of rows i of columns b, one bit per voxel, in rows of `words` 64-bit words
// and slabs of `slab` words. Steps d_o, d_i, d_b >= 0 (the caller mirrors axes as needed). If axis
// i or b wraps, the rows or columns that a shift may reach past the end are stored again there; if
// not, bits past the end are zero. Axis o wraps by its index. A slab ends in spare zero words, so
// that a group of words may be read across its end.

using Word = std::uint64_t;

constexpr Index bits_per_word = 64;
constexpr Index spare_words = 16; // beyond one row, at the end of a slab

/// Packs one bit per voxel: is it of the phase (and in the mask)?
///
/// out[o, i, w], bit c: column b = 64 w + c. Rows and columns from `rows` and `columns` on are
/// those of the start again as far as `all_rows`, `all_columns`; beyond, zero.
struct PackBits {
  const std::uint8_t* labels;
  const std::uint8_t* mask; // null: every voxel
  Index stride_o, stride_i, stride_b;
  Index mask_o, mask_i, mask_b;
  Index slabs, rows, columns;
  Index all_rows, all_columns;
  Word* out;
  Index words, slab; // words in a row, in a slab (at least all_rows * words + words + spare_words)
  std::uint8_t phase;
  bool any; // every voxel is of the phase: the mask alone

  M3D_HD bool voxel(Index o, Index i, Index b) const {
    if (mask && mask[o * mask_o + i * mask_i + b * mask_b] == 0)
      return false;
    return any || labels[o * stride_o + i * stride_i + b * stride_b] == phase;
  }

  /// The word at position j of a slab: the definition.
  M3D_HD Word word(Index o, Index j) const {
    const Index row = j / words, first = j % words * bits_per_word;
    if (row >= all_rows)
      return 0;
    const Index i = row % rows;
    const int n = static_cast<int>(first >= all_columns                  ? 0
                                   : all_columns - first < bits_per_word ? all_columns - first
                                                                         : bits_per_word);
    Word bits = 0;
    Index b = first % columns;
    for (int c = 0; c < n; ++c) {
      bits |= Word(voxel(o, i, b)) << c;
      if (++b == columns)
        b = 0;
    }
    return bits;
  }
  M3D_HD void operator()(Index n) const { out[n] = word(n / slab, n % slab); }

  /// The 32 voxels from `first` on of a row whose columns are contiguous, by eight at a time; needs
  /// addresses that are multiples of 8.
  M3D_HD std::uint32_t half_word(const std::uint8_t* l, const std::uint8_t* m) const {
    constexpr std::uint64_t ones_everywhere = 0x0101010101010101u;
    std::uint32_t bits = ~0u;
    if (!any) {
      bits = 0;
      for (int k = 0; k < 32; k += 8)
        bits |= differing_bytes(load_aligned<std::uint64_t>(l + k), ones_everywhere * phase) << k;
      bits = ~bits;
    }
    if (m) {
      std::uint32_t inside = 0;
      for (int k = 0; k < 32; k += 8)
        inside |= differing_bytes(load_aligned<std::uint64_t>(m + k), 0) << k;
      bits &= inside;
    }
    return bits;
  }
};

/// Number of set bits, for host and device alike.
M3D_HD Index bit_count(Word x) {
  x -= (x >> 1) & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return Index((x * 0x0101010101010101u) >> 56);
}

/// Where the word at lag r of a word of slab o lies: the same place of another slab, some words on,
/// and some bits on.
struct BitShift {
  Index slab;  // -1: out of the volume
  Index words; // added to the position in the slab
  int bits;    // 0 ... 63

  M3D_HD Word of(const Word* in, Index j) const {
    const Word* at = in + j + words;
    return (at[0] >> bits) | ((at[1] << 1) << (63 - bits));
  }
};

/// The lattice that pairs and segments share.
struct BitLattice {
  Index slabs, rows, words, slab;
  Index step_o, step_i, step_b;
  bool wrap_o, wrap_i;
  Index lags; // 0 ... lags - 1

  M3D_HD BitShift shift(Index o, Index r) const {
    Index to = o + r * step_o;
    if (wrap_o)
      to %= slabs;
    const Index columns = r * step_b;
    return {to < slabs ? to : -1, r * step_i * words + columns / bits_per_word,
            static_cast<int>(columns % bits_per_word)};
  }
  /// Words of a slab that have a partner at lag r.
  M3D_HD Index extent(Index r) const {
    const Index left = wrap_i ? rows : rows - r * step_i;
    return left > 0 ? left * words : 0;
  }
};

/// counts[o, r] = voxels x of slab o with x in `a` and x + r d in `b`.
///
/// `a` has no bits past its rows and columns; `b` has them where an axis wraps.
struct BitPairs {
  BitLattice lattice;
  const Word *a, *b;
  std::int64_t* counts; // [slabs, lags]

  /// Pairs of 64 voxels: the math, once.
  M3D_HD Word value(const BitShift& shift, Index o, Index j) const {
    return a[o * lattice.slab + j] & shift.of(b + shift.slab * lattice.slab, j);
  }
};

/// counts[o, r] = voxels x of slab o with x, x + d, ..., x + r d all in `a` = `b` (see BitPairs).
struct BitSegments {
  BitLattice lattice;
  const Word *a, *b;
  std::int64_t* counts; // [slabs, lags], zero on entry

  /// Which of the 64 voxels whose segments reached lag r - 1 reach lag r.
  M3D_HD Word value(Word alive, Index o, Index j, Index r) const {
    if (r == 0)
      return a[o * lattice.slab + j];
    const BitShift shift = lattice.shift(o, r);
    if (shift.slab < 0 || j >= lattice.extent(r))
      return 0;
    return alive & shift.of(b + shift.slab * lattice.slab, j);
  }

  template <class Add> M3D_HD void run(Index o, Index j, const Add& add) const {
    Word alive = 0;
    for (Index r = 0; r < lattice.lags; ++r) {
      alive = value(alive, o, j, r);
      if (alive == 0)
        return;
      add(r, bit_count(alive));
    }
  }
};

void pack_bits_cpu(const PackBits& op, int threads);            // bit_correlation.cpp
void pack_bits_cuda(const PackBits& op, std::uintptr_t stream); // bit_correlation.cu
void bit_pairs_cpu(const BitPairs& op, int threads);
void bit_pairs_cuda(const BitPairs& op, std::uintptr_t stream);
void bit_segments_cpu(const BitSegments& op, int threads);
void bit_segments_cuda(const BitSegments& op, std::uintptr_t stream);

} // namespace micro3d
