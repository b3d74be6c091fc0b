// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/bit_correlation.hpp"

#include "core/simd.hpp"    // for best_isa, in_best_isa
#include "core/threads.hpp" // for share, thread_number

#include <algorithm> // for fill, min
#include <cstring>   // for memcpy
#include <numeric>   // for accumulate
#include <vector>    // for vector

#if M3D_X86
#include <immintrin.h> // for _mm512_popcnt_epi64
#endif

namespace micro3d {

namespace {

int team(Index tasks, Index work, int threads) {
  const Index worth = 1 + work / (1 << 22); // about a millisecond for each
  return static_cast<int>(std::min<Index>({thread_number(threads), tasks, worth}));
}

// ------------------------------------------------------------------------------------ packing

/// 64 bytes at `in`: which of them equal `phase`.
inline Word equal_plain(const std::uint8_t* in, std::uint8_t phase, Index n) {
  Word bits = 0;
  for (Index c = 0; c < n; ++c)
    bits |= Word(in[c] == phase) << c;
  return bits;
}
#if M3D_X86
M3D_AVX2 inline Word equal_avx2(const std::uint8_t* in, std::uint8_t phase) {
  const __m256i p = _mm256_set1_epi8(static_cast<char>(phase));
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in));
  const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + 32));
  const auto low = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, p)));
  const auto high = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(y, p)));
  return Word(high) << 32 | low;
}
M3D_AVX512 inline Word equal_avx512(const std::uint8_t* in, std::uint8_t phase) {
  return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(in), _mm512_set1_epi8(static_cast<char>(phase)));
}
#endif

/// n contiguous bytes (n <= 64) to bits.
inline Word equal(const std::uint8_t* in, std::uint8_t phase, Index n, Isa level) {
#if M3D_X86
  if (level != Isa::baseline) {
    std::uint8_t part[bits_per_word];
    const bool whole = n == bits_per_word;
    if (!whole) {
      std::memset(part, 0, sizeof part);
      std::memcpy(part, in, std::size_t(n));
      in = part;
    }
    const Word bits = level == Isa::avx512 ? equal_avx512(in, phase) : equal_avx2(in, phase);
    return whole ? bits : bits & ((Word(1) << n) - 1);
  }
#endif
  (void)level;
  return equal_plain(in, phase, n);
}

/// Bits of n voxels (o, i, b), (o, i, b + 1), ... along contiguous memory: of the phase and mask.
inline Word bits_of(const PackBits& op, const std::uint8_t* labels, const std::uint8_t* mask,
                    Index n, Isa level) {
  const Word ones = n == bits_per_word ? ~Word(0) : (Word(1) << n) - 1;
  Word bits = op.any ? ones : equal(labels, op.phase, n, level);
  if (mask)
    bits &= ~equal(mask, 0, n, level) & ones;
  return bits;
}

/// In place: bit c of word r goes to bit r of word c.
template <int J> M3D_HD void transpose_step(Word* m) {
  constexpr Word keep = ~Word(0) / ((Word(1) << J) + 1); // J ones, J zeros, ...
  for (int g = 0; g < 64; g += 2 * J)
    for (int k = g; k < g + J; ++k) {
      const Word t = ((m[k] >> J) ^ m[k + J]) & keep;
      m[k] ^= t << J;
      m[k + J] ^= t;
    }
}
struct Transpose {
  static M3D_BODY void run(Word* m) {
    transpose_step<32>(m);
    transpose_step<16>(m);
    transpose_step<8>(m);
    transpose_step<4>(m);
    transpose_step<2>(m);
    transpose_step<1>(m);
  }
};

/// The columns wrap: bits from `columns` on repeat those of the start.
void wrap_columns(const PackBits& op, Word* row) {
  for (Index c = op.columns; c < op.all_columns; ++c) {
    const Index from = c % op.columns;
    row[c / bits_per_word] |= (row[from / bits_per_word] >> (from % bits_per_word) & 1u)
                              << (c % bits_per_word);
  }
}

bool contiguous(Index stride, const std::uint8_t* mask, Index mask_stride) {
  return stride == 1 && (!mask || mask_stride == 1);
}

/// One row whose columns are contiguous in memory.
void pack_row(const PackBits& op, Index o, Index i, Isa level) {
  Word* out = op.out + o * op.slab + i * op.words;
  const std::uint8_t* labels = op.labels + o * op.stride_o + i * op.stride_i;
  const std::uint8_t* mask = op.mask ? op.mask + o * op.mask_o + i * op.mask_i : nullptr;
  Index w = 0;
  for (Index b = 0; b < op.columns; b += bits_per_word, ++w)
    out[w] = bits_of(op, labels + b, mask ? mask + b : nullptr,
                     std::min(bits_per_word, op.columns - b), level);
  std::fill(out + w, out + op.words, Word(0));
}

/// All rows of a slab whose columns are not.
void pack_columns(const PackBits& op, Index o, Isa level) {
  Word* out = op.out + o * op.slab;
  std::fill(out, out + op.rows * op.words, Word(0));
  if (!contiguous(op.stride_i, op.mask, op.mask_i)) {
    for (Index i = 0; i < op.rows; ++i)
      for (Index b = 0; b < op.columns; ++b)
        out[i * op.words + b / bits_per_word] |= Word(op.voxel(o, i, b)) << (b % bits_per_word);
    return;
  }
  // 64 x 64 voxels at a time, transposed
  const std::uint8_t* labels = op.labels + o * op.stride_o;
  const std::uint8_t* mask = op.mask ? op.mask + o * op.mask_o : nullptr;
  for (Index start = 0, w = 0; start < op.columns; start += bits_per_word, ++w)
    for (Index i = 0; i < op.rows; i += bits_per_word) {
      Word block[bits_per_word] = {};
      const Index n = std::min(bits_per_word, op.rows - i);
      const Index columns = std::min(bits_per_word, op.columns - start);
      for (Index c = 0; c < columns; ++c) {
        const Index b = start + c;
        block[c] = bits_of(op, labels + b * op.stride_b + i,
                           mask ? mask + b * op.mask_b + i : nullptr, n, level);
      }
      in_best_isa<Transpose>(static_cast<Word*>(block));
      for (Index k = 0; k < n; ++k)
        out[(i + k) * op.words + w] = block[k];
    }
}

/// Fills a slab beyond its rows and columns.
void pack_ends(const PackBits& op, Index o) {
  Word* out = op.out + o * op.slab;
  if (op.all_columns > op.columns)
    for (Index i = 0; i < op.rows; ++i)
      wrap_columns(op, out + i * op.words);
  for (Index i = op.rows; i < op.all_rows; ++i)
    std::copy_n(out + i % op.rows * op.words, op.words, out + i * op.words);
  std::fill(out + op.all_rows * op.words, out + op.slab, Word(0));
}

// -------------------------------------------------------------------------------------- pairs

/// Number of set bits; one instruction where the processor has it.
M3D_BODY int set_bits(Word x) {
#if defined(__GNUC__) || defined(__clang__)
  return __builtin_popcountll(x);
#else
  return bit_count(x);
#endif
}

/// Pairs in n words: a[j] AND (b shifted)[j].
struct Pairs {
  static M3D_BODY void run(const Word* a, const Word* b, Index n, BitShift shift,
                           std::int64_t* sum) {
    std::int64_t s = 0;
    if (shift.bits == 0) {
      const Word* at = b + shift.words;
      for (Index j = 0; j < n; ++j)
        s += set_bits(a[j] & at[j]);
    } else {
      for (Index j = 0; j < n; ++j)
        s += set_bits(a[j] & shift.of(b, j));
    }
    *sum = s;
  }
};
#if M3D_X86
M3D_AVX512 inline __m512i load_shifted(const Word* at, int bits) {
  const __m512i x = _mm512_loadu_si512(at);
  if (bits == 0)
    return x;
  const __m512i y = _mm512_loadu_si512(at + 1);
  return _mm512_or_si512(_mm512_maskz_srl_epi64(0xff, x, _mm_cvtsi32_si128(bits)),
                         _mm512_maskz_sll_epi64(0xff, y, _mm_cvtsi32_si128(64 - bits)));
}

M3D_AVX512 std::int64_t pairs_avx512(const Word* a, const Word* b, Index n, BitShift shift) {
  const Word* at = b + shift.words;
  const auto both = [&](Index j) M3D_AVX512 {
    return _mm512_popcnt_epi64(
        _mm512_and_si512(_mm512_loadu_si512(a + j), load_shifted(at + j, shift.bits)));
  };
  __m512i even = _mm512_setzero_si512(), odd = even;
  Index j = 0;
  for (; j + 16 <= n; j += 16) {
    even = _mm512_add_epi64(even, both(j));
    odd = _mm512_add_epi64(odd, both(j + 8));
  }
  for (; j + 8 <= n; j += 8)
    even = _mm512_add_epi64(even, both(j));
  if (j < n) { // the spare words let the last group be read whole
    const auto left = static_cast<__mmask8>((1u << (n - j)) - 1);
    odd = _mm512_mask_add_epi64(odd, left, odd, both(j));
  }
  alignas(64) std::int64_t lane[8];
  _mm512_store_si512(lane, _mm512_add_epi64(even, odd));
  return std::accumulate(lane, lane + 8, std::int64_t(0));
}
#endif

// ----------------------------------------------------------------------------------- segments

/// Groups of 8 words: they stay in registers from lag to lag, until no segment is left.
struct Segments {
  static M3D_BODY void run(const BitSegments* given, Index o, Index j, Index n, Word* sums) {
    const BitSegments& op = *given;
    Word alive[8];
    for (Index r = 0; r < op.lattice.lags; ++r) {
      const BitShift shift = op.lattice.shift(o, r);
      if (shift.slab < 0 || j >= op.lattice.extent(r))
        return;
      const Word* b = op.b + shift.slab * op.lattice.slab;
      Word any = 0, sum = 0;
      for (Index k = 0; k < n; ++k) {
        alive[k] = r == 0 ? op.a[o * op.lattice.slab + j + k] : alive[k] & shift.of(b, j + k);
        any |= alive[k];
        sum += Word(set_bits(alive[k]));
      }
      sums[8 * r] += sum;
      if (any == 0)
        return;
    }
  }
};
#if M3D_X86
M3D_AVX512 void segments_avx512(const BitSegments& op, Index o, Index j, Index n, Word* sums) {
  const BitLattice& l = op.lattice;
  const auto mine = static_cast<__mmask8>(n >= 8 ? 0xffu : (1u << n) - 1);
  __m512i alive = _mm512_maskz_loadu_epi64(mine, op.a + o * l.slab + j);
  Index r = 0;
  const auto add = [&]() M3D_AVX512 {
    Word* sum = sums + 8 * r;
    _mm512_storeu_si512(sum, _mm512_add_epi64(_mm512_loadu_si512(sum), _mm512_popcnt_epi64(alive)));
  };
  if (l.step_o == 0 && l.step_b == 0) { // along i alone: a constant step
    const Word* at = op.b + o * l.slab + j;
    const Index step = l.step_i * l.words;
    const Index row = j / l.words;
    const bool to_end = l.wrap_i || l.step_i == 0;
    const Index last = to_end ? l.lags : std::min(l.lags, (l.rows - 1 - row) / l.step_i + 1);
    for (;;) {
      add();
      if (++r >= last)
        return;
      at += step;
      alive = _mm512_and_si512(alive, _mm512_loadu_si512(at));
      if (_mm512_test_epi64_mask(alive, alive) == 0)
        return;
    }
  }
  for (;;) {
    add();
    if (++r >= l.lags)
      return;
    const BitShift shift = l.shift(o, r);
    if (shift.slab < 0 || j >= l.extent(r))
      return;
    alive = _mm512_and_si512(
        alive, load_shifted(op.b + shift.slab * l.slab + j + shift.words, shift.bits));
    if (_mm512_test_epi64_mask(alive, alive) == 0)
      return;
  }
}
#endif

} // namespace

void pack_bits_cpu(const PackBits& op, int threads) {
  const Isa level = best_isa();
  const Index voxels = op.slabs * op.rows * op.columns;
  if (contiguous(op.stride_b, op.mask, op.mask_b)) {
    // in the order of memory: the bits written are few, the voxels read are many
    const bool slabs_first = op.stride_o >= op.stride_i;
    const Index outer = slabs_first ? op.slabs : op.rows, inner = slabs_first ? op.rows : op.slabs;
    share(outer, team(outer, voxels, threads), [&](Index begin, Index end, int) {
      for (Index m = begin; m < end; ++m)
        for (Index n = 0; n < inner; ++n)
          pack_row(op, slabs_first ? m : n, slabs_first ? n : m, level);
    });
    for (Index o = 0; o < op.slabs; ++o)
      pack_ends(op, o);
    return;
  }
  share(op.slabs, team(op.slabs, voxels, threads), [&](Index begin, Index end, int) {
    for (Index o = begin; o < end; ++o) {
      pack_columns(op, o, level);
      pack_ends(op, o);
    }
  });
}

static void count_pairs(const BitPairs& op, Index o, Index r) {
  const BitLattice& l = op.lattice;
  const Word* a = op.a + o * l.slab;
  const BitShift shift = l.shift(o, r);
  std::int64_t sum = 0;
  if (shift.slab >= 0) {
    const Word* b = op.b + shift.slab * l.slab;
    const Index n = l.extent(r);
#if M3D_X86
    if (best_isa() == Isa::avx512)
      sum = pairs_avx512(a, b, n, shift);
    else
#endif
      in_best_isa<Pairs>(a, b, n, shift, &sum);
  }
  op.counts[o * l.lags + r] = sum;
}

void bit_pairs_cpu(const BitPairs& op, int threads) {
  const BitLattice& l = op.lattice;
  const Index tasks = l.slabs * l.lags;
  share(tasks, team(tasks, tasks * l.rows * l.words, threads), [&](Index begin, Index end, int) {
    for (Index task = begin; task < end; ++task)
      count_pairs(op, task / l.lags, task % l.lags);
  });
}

/// The segments of one slab; `sums`: 8 numbers for each lag.
static void count_segments(const BitSegments& op, Index o, std::vector<Word>& sums) {
  const BitLattice& l = op.lattice;
  const Index words = l.rows * l.words;
  sums.assign(std::size_t(l.lags) * 8, 0);
  for (Index j = 0; j < words; j += 8) {
    const Index n = std::min<Index>(8, words - j);
#if M3D_X86
    if (best_isa() == Isa::avx512)
      segments_avx512(op, o, j, n, sums.data());
    else
#endif
      in_best_isa<Segments>(&op, o, j, n, sums.data());
  }
  for (Index r = 0; r < l.lags; ++r) {
    Word sum = 0;
    for (Index k = 0; k < 8; ++k)
      sum += sums[std::size_t(8 * r + k)];
    op.counts[o * l.lags + r] = std::int64_t(sum);
  }
}

void bit_segments_cpu(const BitSegments& op, int threads) {
  const BitLattice& l = op.lattice;
  const int workers = team(l.slabs, l.slabs * l.rows * l.words * 32, threads);
  share(l.slabs, workers, [&](Index begin, Index end, int) {
    std::vector<Word> sums;
    for (Index o = begin; o < end; ++o)
      count_segments(op, o, sums);
  });
}

} // namespace micro3d
