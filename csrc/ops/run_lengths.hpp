// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/bytes.hpp"   // for differing_bytes, load_aligned, lowest_bit
#include "core/config.hpp"  // for M3D_HD, Index
#include "core/divisor.hpp" // for Divisor

#include <cstdint> // for uint8_t

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

  /// The plain scan of one row: the definition, and the CUDA walk of very long rows.
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

/// Rows on CUDA, as two phases with a barrier between them.
///
/// A block takes `rows` rows at a time. Phase 1 packs "this voxel begins a new run" into one bit a
/// voxel, 32 voxels a word, in shared memory. Phase 2 hands every word to a thread that counts the
/// runs ending at its bits; a run that began in an earlier word is found by looking back.
///
/// Both phases read the labels so that a warp's threads are neighbours in memory: along the rows
/// where those are contiguous, else across them, four rows per thread if they are neighbours, and
/// eight voxels of each before any is looked at, so that many loads are under way.
struct RunLengthsPacked {
  RunLengths op;
  int words;   // 32-voxel words in a row
  int rows;    // rows that a block takes at a time
  int at_once; // rows that a thread reads at once: 1 or 4 across the rows; 0: along them
  Divisor inner = divisor(op.n_inner);
  Divisor line = divisor(at_once == 0 ? words : rows / at_once); // what neighbouring threads share
  static constexpr int threads = 256;
  static constexpr int max_words = 2048;  // 8 kB of shared memory
  static constexpr int good_words = 1024; // enough for a block, and small volumes fill the GPU

  M3D_HD Index all_rows() const { return op.n_outer * op.n_inner; }
  M3D_HD Index tiles() const { return (all_rows() + rows - 1) / rows; }
  /// Where the word of a row lies in shared memory.
  M3D_HD int place(int row, int word) const {
    return at_once == 0 ? row * words + word : word * rows + row;
  }
  M3D_HD const std::uint8_t* labels_of(Index row) const {
    Index o, i;
    inner.split(row, o, i);
    return op.labels + o * op.outer + i * op.inner;
  }
  M3D_HD const std::uint8_t* mask_of(Index row) const {
    if (op.mask == nullptr)
      return nullptr;
    Index o, i;
    inner.split(row, o, i);
    return op.mask + o * op.mask_outer + i * op.mask_inner;
  }
  /// Row and word of a thread's number `w`: along the rows first the words, across first the rows.
  M3D_HD void split(int w, int& row, int& word) const {
    std::uint32_t a, b;
    if (at_once == 0) {
      line.split32(static_cast<std::uint32_t>(w), a, b);
      row = static_cast<int>(a);
      word = static_cast<int>(b);
    } else { // w / rows = w / at_once / line
      line.split32(static_cast<std::uint32_t>(at_once == 4 ? w / 4 : w), a, b);
      word = static_cast<int>(a);
      row = w - word * rows;
    }
  }

  /// Voxels base ... base + count - 1 of a contiguous row: which differ from the one before.
  ///
  /// Aligned: the address of voxel base is a multiple of 8.
  template <bool AsBool, bool Aligned>
  M3D_HD static std::uint32_t changes_along(const std::uint8_t* l, Index base, int count) {
    std::uint32_t bits = 0;
    int k = 0;
    if (Aligned && !AsBool) {
      std::uint64_t last = base > 0 ? l[base - 1] : l[0]; // the first voxel begins no new run
      if (count == 32) {                                  // all loads first
        std::uint64_t now[4];
        for (int j = 0; j < 4; ++j)
          now[j] = load_aligned<std::uint64_t>(l + base + 8 * j);
        for (int j = 0; j < 4; ++j) {
          bits |= differing_bytes(now[j], (now[j] << 8) | last) << (8 * j);
          last = now[j] >> 56;
        }
        return bits;
      }
      for (; k + 8 <= count; k += 8) {
        const auto now = load_aligned<std::uint64_t>(l + base + k);
        bits |= differing_bytes(now, (now << 8) | last) << k;
        last = now >> 56;
      }
    }
    for (; k < count; ++k) {
      if (base + k == 0)
        continue;
      const bool differs =
          AsBool ? (l[base + k] != 0) != (l[base + k - 1] != 0) : l[base + k] != l[base + k - 1];
      bits |= static_cast<std::uint32_t>(differs) << k;
    }
    return bits;
  }

  /// The same of N neighbouring rows (N > 1: `l` and `step` are multiples of N), added to bits[N].
  template <int N, bool AsBool>
  M3D_HD static void changes_across(const std::uint8_t* l, Index step, Index base, int count,
                                    std::uint32_t (&bits)[N]) {
    const auto load = [](const std::uint8_t* p) {
      return N == 1 ? std::uint32_t(*p) : load_aligned<std::uint32_t>(p);
    };
    const auto value = [](std::uint32_t x) { return AsBool ? nonzero_bytes(x) : x; };
    const auto differs = [](std::uint32_t x) { return AsBool ? x : nonzero_bytes(x); };
    std::uint32_t last = value(load(l + (base > 0 ? base - 1 : 0) * step));
    const std::uint8_t* at = l + base * step;
    for (int g = 0; g < 32; g += 8) {
      std::uint32_t changed = 0; // bit j of byte n: voxel g + j of row n
      if (g + 8 <= count) {
        std::uint32_t now[8];
        for (int j = 0; j < 8; ++j, at += step)
          now[j] = load(at);
        for (int j = 0; j < 8; ++j) {
          const std::uint32_t x = value(now[j]);
          changed |= differs(x ^ last) << j;
          last = x;
        }
      } else {
        for (int j = 0; g + j < count; ++j, at += step) {
          const std::uint32_t x = value(load(at));
          changed |= differs(x ^ last) << j;
          last = x;
        }
      }
      for (int n = 0; n < N; ++n)
        bits[n] |= (changed >> (8 * n) & 0xffu) << g;
    }
  }
  template <int N> M3D_HD void pack_across(Index tile, int thread, std::uint32_t* shared) const {
    const int groups = rows / N;
    for (int w = thread; w < groups * words; w += threads) {
      int row, word;
      split(w * N, row, word);
      const Index r = tile * rows + row;
      if (r >= all_rows())
        continue;
      const Index base = Index(word) * 32;
      const int count = static_cast<int>(op.length - base < 32 ? op.length - base : 32);
      std::uint32_t bits[N] = {};
      changes_across<N, false>(labels_of(r), op.step, base, count, bits);
      if (op.mask)
        changes_across<N, true>(mask_of(r), op.mask_step, base, count, bits);
      for (int n = 0; n < N; ++n)
        shared[place(row + n, word)] = bits[n];
    }
  }

  M3D_HD void pack(Index tile, int thread, std::uint32_t* shared) const {
    if (at_once == 4)
      return pack_across<4>(tile, thread, shared);
    if (at_once == 1)
      return pack_across<1>(tile, thread, shared);
    for (int w = thread; w < rows * words; w += threads) {
      int row, word;
      split(w, row, word);
      const Index r = tile * rows + row;
      if (r >= all_rows())
        return;
      const Index base = Index(word) * 32;
      const int count = static_cast<int>(op.length - base < 32 ? op.length - base : 32);
      const std::uint8_t* l = labels_of(r);
      std::uint32_t bits;
      if (is_aligned(l + base, 8))
        bits = changes_along<false, true>(l, base, count);
      else
        bits = changes_along<false, false>(l, base, count);
      if (op.mask)
        bits |= changes_along<true, false>(mask_of(r), base, count);
      shared[w] = bits;
    }
  }

  template <class Add>
  M3D_HD void count(Index tile, int thread, const std::uint32_t* shared, const Add& add) const {
    const int width = static_cast<int>(op.length + 1); // of a phase in the histogram: it is short
    for (int w = thread; w < rows * words; w += threads) {
      int row, word; // w = place(row, word)
      split(w, row, word);
      const Index r = tile * rows + row;
      if (r >= all_rows())
        continue;
      std::uint32_t bits = shared[w];
      const bool ends_row = word == words - 1;
      if (bits == 0 && !ends_row)
        continue;
      const std::uint8_t* l = labels_of(r);
      const std::uint8_t* m = mask_of(r);

      int last = 0; // where the run that reaches into this word began
      for (int b = word - 1; b >= 0; --b)
        if (const std::uint32_t before = shared[place(row, b)]; before != 0) {
          last = b * 32 + highest_bit(before);
          break;
        }
      while (bits != 0) {
        const int k = word * 32 + lowest_bit(bits);
        bits &= bits - 1;
        const int phase = l[last * op.step];
        if (op.inside(m, last) && phase < op.n_phases)
          add.count(phase * width + k - last, 1);
        last = k;
      }
      if (!ends_row)
        continue;
      Index first = 0; // the end of the first run, for joining
      if (op.periodic)
        for (int b = 0; b < words; ++b)
          if (const std::uint32_t behind = shared[place(row, b)]; behind != 0) {
            first = b * 32 + lowest_bit(behind);
            break;
          }
      const int phase = l[last * op.step];
      op.finish(phase, op.inside(m, last), phase == l[0] && op.inside(m, 0), first, last, add);
    }
  }
};

/// Makes the inner rows the nearest neighbours in memory.
inline void nearest_rows_inside(RunLengths& op) {
  const auto size = [](Index stride) { return stride < 0 ? -stride : stride; };
  if (op.n_inner != 1 && (op.n_outer == 1 || size(op.outer) >= size(op.inner)))
    return;
  const auto swap = [](Index& a, Index& b) {
    const Index t = a;
    a = b;
    b = t;
  };
  swap(op.n_outer, op.n_inner);
  swap(op.outer, op.inner);
  swap(op.mask_outer, op.mask_inner);
}

/// Whether the packed schedule takes rows of this length, and how it is laid out.
inline bool packs(const RunLengths& op) {
  return (op.length + 31) / 32 <= RunLengthsPacked::max_words;
}
inline RunLengthsPacked packed(const RunLengths& op) {
  using P = RunLengthsPacked;
  const int words = static_cast<int>((op.length + 31) / 32), most = P::max_words / words;
  int rows = P::good_words / words > 1 ? P::good_words / words : 1;
  if (op.step == 1 && (op.mask == nullptr || op.mask_step == 1))
    return {op, words, rows, 0};
  rows = rows >= 32 ? rows / 32 * 32 : most < 32 ? most : 32; // a warp reads 32 neighbours, or more
  const auto in_fours = [&](const std::uint8_t* p, Index step, Index outer, Index inner) {
    return inner == 1 && step % 4 == 0 && (outer % 4 == 0 || op.n_outer == 1) && is_aligned(p, 4);
  };
  if (rows >= 4 && op.n_inner % 4 == 0 && in_fours(op.labels, op.step, op.outer, op.inner) &&
      (op.mask == nullptr || in_fours(op.mask, op.mask_step, op.mask_outer, op.mask_inner)))
    return {op, words, rows / 4 * 4, 4};
  return {op, words, rows, 1};
}

void run_lengths_cpu(const RunLengths& op, int threads);            // run_lengths.cpp
void run_lengths_cuda(const RunLengths& op, std::uintptr_t stream); // run_lengths.cu

} // namespace micro3d
