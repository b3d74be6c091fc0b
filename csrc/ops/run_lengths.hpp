// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/config.hpp" // for M3D_HD, Index

#include <cstdint> // for uint8_t
#include <cstring> // for memcpy

namespace micro3d {

/// Histogram of the maximal runs of every phase along one axis, in one scan.
///
/// counts[p, n] = runs of exactly n voxels of phase p. A voxel outside the mask is in no phase, and
/// labels >= n_phases are scanned but not counted. Periodic: a run across the faces counts once,
/// and a row wholly in phase p counts in full[p] instead of counts.
///
/// The volume is rows along the axis: row (o, i), voxel k is labels[o*outer + i*inner + k*step].
/// All counts are integers, so neither threads nor the order of atomics change the result.
struct RunLengths {
  const std::uint8_t* labels;
  const std::uint8_t* mask; // same rows, own strides; null: every voxel counts
  Index length;             // voxels in a row
  Index n_outer, n_inner;   // rows
  Index step, outer, inner; // strides of labels
  Index mask_step, mask_outer, mask_inner;
  std::int64_t* counts; // [n_phases, length + 1], zero on entry
  std::int64_t* full;   // [n_phases], zero on entry
  int n_phases;
  bool periodic;

  M3D_HD bool inside(const std::uint8_t* m, Index k) const {
    return mask == nullptr || m[k * mask_step] != 0;
  }

  /// Where a run is counted; -1: nowhere.
  M3D_HD Index slot(int phase, Index run) const {
    return phase < n_phases ? phase * (length + 1) + run : -1;
  }

  /// What the ends of a row add: its last run [last, length) and, if periodic, what joining it to
  /// the first run [0, first) changes. The runs before the last one are counted already, the first
  /// one included. `joined`: first and last voxel are of one phase, inside the mask.
  template <class Add>
  M3D_HD void finish(int phase_last, bool inside_last, bool joined, Index first, Index last,
                     const Add& add) const {
    if (!inside_last || phase_last >= n_phases)
      return;
    if (periodic && last == 0) {
      add.full(phase_last, 1);
    } else if (periodic && joined) {
      add.count(slot(phase_last, first), -1);
      add.count(slot(phase_last, length - last + first), 1);
    } else {
      add.count(slot(phase_last, length - last), 1);
    }
  }

  /// The plain scan of one row: the definition, and the CUDA walk of strided axes.
  template <class Add> M3D_HD void row(Index o, Index i, const Add& add) const {
    const std::uint8_t* l = labels + o * outer + i * inner;
    const std::uint8_t* m = mask ? mask + o * mask_outer + i * mask_inner : nullptr;
    const int phase0 = l[0];
    const bool inside0 = inside(m, 0);
    int phase = phase0;
    bool in = inside0;
    Index first = 0, last = 0; // end of the first run, start of the current one
    for (Index k = 1; k < length; ++k) {
      const int p = l[k * step];
      const bool q = inside(m, k);
      if (p == phase && q == in)
        continue;
      if (last == 0)
        first = k;
      if (in && phase < n_phases)
        add.count(slot(phase, k - last), 1);
      last = k;
      phase = p;
      in = q;
    }
    finish(phase, in, phase == phase0 && inside0, first, last, add);
  }
};

/// 8 bits: which of the 8 bytes differ.
M3D_HD unsigned differing_bytes(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t low7 = 0x7f7f7f7f7f7f7f7fu;
  const std::uint64_t x = a ^ b;
  const std::uint64_t high = (((x & low7) + low7) | x) & ~low7; // bit 7 of every nonzero byte
  return static_cast<unsigned>(((high >> 7) * 0x0102040810204080u) >> 56);
}

/// Contiguous rows on CUDA, as two phases between barriers; a test runs them thread by thread.
///
/// A block takes `rows` rows at a time. Phase 1 packs "this voxel begins a new run" into one bit a
/// voxel, 32 voxels a word, in shared memory. Phase 2 hands every word to a thread that counts the
/// runs ending at its bits; a run that began in an earlier word is found by looking back.
struct RunLengthsPacked {
  RunLengths op; // step == 1 (and mask_step == 1)
  Index words;   // 32-voxel words in a row
  int rows;      // rows a block takes at a time
  static constexpr int threads = 256;
  static constexpr int max_words = 2048; // 8 kB of shared memory

  M3D_HD Index tiles() const { return (op.n_outer * op.n_inner + rows - 1) / rows; }

  M3D_HD unsigned changes(const std::uint8_t* l, Index base, Index count, bool as_bool) const {
    unsigned bits = 0;
    Index k = 0;
    for (; k + 8 <= count && !as_bool; k += 8) {
      std::uint64_t now, before;
      std::memcpy(&now, l + base + k, 8);
      before = (now << 8) | (now & 0xffu); // little-endian, as every CUDA host and device
      if (base + k > 0)
        before ^= (before ^ l[base + k - 1]) & 0xffu;
      bits |= differing_bytes(now, before) << k;
    }
    for (; k < count; ++k) {
      if (base + k == 0)
        continue; // the first voxel begins no new run
      const bool differs =
          as_bool ? (l[base + k] != 0) != (l[base + k - 1] != 0) : l[base + k] != l[base + k - 1];
      bits |= static_cast<unsigned>(differs) << k;
    }
    return bits;
  }

  M3D_HD void pack(Index tile, int thread, std::uint32_t* shared) const {
    for (Index w = thread; w < rows * words; w += threads) {
      const Index r = tile * rows + w / words;
      if (r >= op.n_outer * op.n_inner)
        return;
      const Index o = r / op.n_inner, i = r % op.n_inner;
      const Index base = w % words * 32;
      const Index count = op.length - base < 32 ? op.length - base : 32;
      unsigned bits = changes(op.labels + o * op.outer + i * op.inner, base, count, false);
      if (op.mask)
        bits |= changes(op.mask + o * op.mask_outer + i * op.mask_inner, base, count, true);
      shared[w] = bits;
    }
  }

  template <class Add>
  M3D_HD void count(Index tile, int thread, const std::uint32_t* shared, const Add& add) const {
    for (Index w = thread; w < rows * words; w += threads) {
      const Index r = tile * rows + w / words;
      if (r >= op.n_outer * op.n_inner)
        return;
      const Index o = r / op.n_inner, i = r % op.n_inner;
      const std::uint8_t* l = op.labels + o * op.outer + i * op.inner;
      const std::uint8_t* m = op.mask ? op.mask + o * op.mask_outer + i * op.mask_inner : nullptr;
      const Index word = w % words;
      const std::uint32_t* bits_of_row = shared + (w - word);
      std::uint32_t bits = bits_of_row[word];
      const bool ends_row = word == words - 1;
      if (bits == 0 && !ends_row)
        continue;

      Index last = 0; // where the run that reaches into this word began
      for (Index b = word - 1; b >= 0; --b)
        if (bits_of_row[b] != 0) {
          last = b * 32 + highest_bit(bits_of_row[b]);
          break;
        }
      while (bits != 0) {
        const Index k = word * 32 + lowest_bit(bits);
        bits &= bits - 1;
        const int phase = l[last];
        if (op.inside(m, last) && phase < op.n_phases)
          add.count(op.slot(phase, k - last), 1);
        last = k;
      }
      if (!ends_row)
        continue;
      Index first = 0; // the end of the first run, for joining
      if (op.periodic)
        for (Index b = 0; b < words; ++b)
          if (bits_of_row[b] != 0) {
            first = b * 32 + lowest_bit(bits_of_row[b]);
            break;
          }
      op.finish(l[last], op.inside(m, last), l[last] == l[0] && op.inside(m, 0), first, last, add);
    }
  }

  M3D_HD static int lowest_bit(std::uint32_t bits) {
    int n = 0;
    while ((bits & 1u) == 0)
      bits >>= 1, ++n;
    return n;
  }
  M3D_HD static int highest_bit(std::uint32_t bits) {
    int n = 0;
    while ((bits >>= 1) != 0)
      ++n;
    return n;
  }
};

/// Whether the packed schedule fits, and how it is laid out.
inline bool packs(const RunLengths& op) {
  return op.step == 1 && (op.mask == nullptr || op.mask_step == 1) &&
         (op.length + 31) / 32 <= RunLengthsPacked::max_words;
}
inline RunLengthsPacked packed(const RunLengths& op) {
  const Index words = (op.length + 31) / 32;
  return {op, words, static_cast<int>(RunLengthsPacked::max_words / words)};
}

void run_lengths_cpu(const RunLengths& op, int threads);            // run_lengths.cpp
void run_lengths_cuda(const RunLengths& op, std::uintptr_t stream); // run_lengths.cu
void run_lengths_phases_on_host(const RunLengths& op);              // run_lengths.cpp, for tests

} // namespace micro3d
