// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/run_lengths.hpp"

#include "core/threads.hpp" // for share, thread_number

#include <algorithm> // for min
#include <vector>    // for vector

#if defined(__SSE2__)
#include <emmintrin.h> // for _mm_cmpeq_epi8
#endif

namespace micro3d {

namespace {

/// One thread's histogram; counts[-1] takes what is counted nowhere.
struct Tally {
  std::int64_t* counts;
  std::int64_t* fulls;
  void count(Index slot, int n) const { counts[slot] += n; }
  void full(int phase, int n) const { fulls[phase] += n; }
};

inline int trailing_zeros(std::uint64_t bits) {
#if defined(__GNUC__) || defined(__clang__)
  return __builtin_ctzll(bits);
#else
  int n = 0;
  while ((bits & 1u) == 0)
    bits >>= 1, ++n;
  return n;
#endif
}

/// Bit i: a[i] != b[i], for i < n <= 64.
inline std::uint64_t differing(const std::uint8_t* a, const std::uint8_t* b, Index n) {
  std::uint64_t bits = 0;
  Index i = 0;
#if defined(__SSE2__)
  for (; i + 16 <= n; i += 16) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + i));
    const __m128i y = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + i));
    const unsigned same = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(x, y)));
    bits |= static_cast<std::uint64_t>(same ^ 0xffffu) << i;
  }
#endif
  for (; i + 8 <= n; i += 8) {
    std::uint64_t x, y;
    std::memcpy(&x, a + i, 8);
    std::memcpy(&y, b + i, 8);
    bits |= static_cast<std::uint64_t>(differing_bytes(x, y)) << i;
  }
  for (; i < n; ++i)
    bits |= static_cast<std::uint64_t>(a[i] != b[i]) << i;
  return bits;
}

/// Bit i: a[i] != 0, for i < n <= 64.
inline std::uint64_t nonzero(const std::uint8_t* a, Index n) {
  static constexpr std::uint8_t zeros[64] = {};
  return differing(a, zeros, n);
}

/// The n lowest bits, 1 <= n <= 64.
inline std::uint64_t low_bits(Index n) { return ~std::uint64_t(0) >> (64 - n); }

/// n bytes at a stride, as contiguous bytes: in place where they are, else through `buffer`.
inline const std::uint8_t* contiguous(const std::uint8_t* in, Index stride, Index n,
                                      std::uint8_t* buffer) {
  if (stride == 1)
    return in;
  for (Index i = 0; i < n; ++i)
    buffer[i] = in[i * stride];
  return buffer;
}

// Where a run ends: at a voxel inside the mask whose label is another, and where the mask begins or
// ends. Labels outside the mask do not matter.

/// The axis runs through memory: each row is compared with itself, shifted by one.
template <bool masked>
void scan_row(const RunLengths& op, const std::uint8_t* l, const std::uint8_t* m,
              const Tally& tally) {
  Index first = 0, last = 0;
  std::uint64_t was = masked && m[0] != 0; // bit 0: the voxel before is inside
  for (Index base = 1; base < op.length; base += 64) {
    const Index n = std::min<Index>(64, op.length - base);
    std::uint64_t bits = differing(l + base, l + base - 1, n), before = 0;
    if (masked) {
      const std::uint64_t in = nonzero(m + base, n);
      before = in << 1 | was; // bit i: voxel base + i - 1 is inside
      bits = (bits & in) | ((in ^ before) & low_bits(n));
      was = in >> (n - 1);
    }
    if (first == 0 && bits != 0)
      first = base + trailing_zeros(bits);
    while (bits != 0) {
      const int bit = trailing_zeros(bits);
      const Index k = base + bit;
      bits &= bits - 1;
      const Index slot = op.slot(l[last], k - last);
      tally.count(masked && (before >> bit & 1u) == 0 ? -1 : slot, 1);
      last = k;
    }
  }
  op.finish(l[last], !masked || m[last], l[last] == l[0] && (!masked || m[0]), first, last, tally);
}

/// The axis strides through memory: a block of neighbouring rows advances together, each slice of
/// the block is compared with the slice before.
struct ColumnBlock {
  std::vector<std::int32_t> first, last;
  std::vector<std::uint64_t> inside; // one bit per column
  std::vector<std::uint8_t> labels[2], mask;

  void reserve(Index columns, bool masked) {
    first.resize(std::size_t(columns));
    last.resize(std::size_t(columns));
    for (auto& buffer : labels)
      buffer.resize(std::size_t(columns));
    if (masked) {
      mask.resize(std::size_t(columns));
      inside.resize(std::size_t(columns + 63) / 64);
    }
  }

  template <bool masked>
  void scan(const RunLengths& op, const std::uint8_t* l, const std::uint8_t* m, Index columns,
            const Tally& tally) {
    std::fill_n(first.begin(), columns, 0);
    std::fill_n(last.begin(), columns, 0);
    const std::uint8_t* before = contiguous(l, op.inner, columns, labels[0].data());
    if (masked) {
      const std::uint8_t* m0 = contiguous(m, op.mask_inner, columns, mask.data());
      for (Index base = 0; base < columns; base += 64)
        inside[std::size_t(base / 64)] = nonzero(m0 + base, std::min<Index>(64, columns - base));
    }
    for (Index k = 1; k < op.length; ++k) {
      const std::uint8_t* now =
          contiguous(l + k * op.step, op.inner, columns, labels[k & 1].data());
      const std::uint8_t* m_now =
          masked ? contiguous(m + k * op.mask_step, op.mask_inner, columns, mask.data()) : nullptr;
      for (Index base = 0; base < columns; base += 64) {
        const Index n = std::min<Index>(64, columns - base);
        std::uint64_t bits = differing(now + base, before + base, n), was = 0;
        if (masked) {
          const std::uint64_t in = nonzero(m_now + base, n);
          was = inside[std::size_t(base / 64)];
          bits = (bits & in) | (in ^ was);
          inside[std::size_t(base / 64)] = in;
        }
        while (bits != 0) {
          const int bit = trailing_zeros(bits);
          const Index c = base + bit;
          bits &= bits - 1;
          const Index start = last[std::size_t(c)];
          const Index slot = op.slot(before[c], k - start);
          tally.count(masked && (was >> bit & 1u) == 0 ? -1 : slot, 1);
          if (start == 0)
            first[std::size_t(c)] = static_cast<std::int32_t>(k);
          last[std::size_t(c)] = static_cast<std::int32_t>(k);
        }
      }
      before = now;
    }
    for (Index c = 0; c < columns; ++c) {
      const int phase = before[c];
      const bool in = !masked || (inside[std::size_t(c / 64)] >> (c % 64) & 1u) != 0;
      const bool joined = phase == l[c * op.inner] && (!masked || m[c * op.mask_inner] != 0);
      op.finish(phase, in, joined, first[std::size_t(c)], last[std::size_t(c)], tally);
    }
  }
};

/// What a thread keeps: its histogram and its buffers.
struct Worker {
  std::vector<std::int64_t> counts, full; // counts[0]: counted nowhere
  ColumnBlock block;
  std::vector<std::uint8_t> row, mask_row;

  void prepare(const RunLengths& op, Index columns, bool along) {
    if (!counts.empty())
      return;
    counts.resize(std::size_t(op.n_phases) * std::size_t(op.length + 1) + 1);
    full.resize(std::size_t(op.n_phases));
    if (along) {
      row.resize(op.step == 1 ? 0 : std::size_t(op.length));
      mask_row.resize(op.mask_step == 1 ? 0 : std::size_t(op.length));
    } else {
      block.reserve(columns, op.mask != nullptr);
    }
  }

  /// Rows i, i + 1, ... of a block of them, or row i alone.
  void scan(const RunLengths& op, Index o, Index i, Index columns, bool along) {
    const Tally tally{counts.data() + 1, full.data()};
    const std::uint8_t* l = op.labels + o * op.outer + i * op.inner;
    const std::uint8_t* m = op.mask ? op.mask + o * op.mask_outer + i * op.mask_inner : nullptr;
    const Index n = std::min(columns, op.n_inner - i);
    if (!along) {
      m ? block.scan<true>(op, l, m, n, tally) : block.scan<false>(op, l, m, n, tally);
      return;
    }
    const std::uint8_t* line = contiguous(l, op.step, op.length, row.data());
    if (m)
      scan_row<true>(op, line, contiguous(m, op.mask_step, op.length, mask_row.data()), tally);
    else
      scan_row<false>(op, line, m, tally);
  }

  void add_to(const RunLengths& op) const {
    for (std::size_t k = 1; k < counts.size(); ++k)
      op.counts[k - 1] += counts[k];
    for (std::size_t k = 0; k < full.size(); ++k)
      op.full[k] += full[k];
  }
};

} // namespace

void run_lengths_cpu(const RunLengths& given, int threads) {
  RunLengths op = given;
  if (op.length == 0 || op.n_outer * op.n_inner == 0)
    return;
  const auto size = [](Index stride) { return stride < 0 ? -stride : stride; };
  nearest_rows_inside(op);
  if (op.outer == op.n_inner * op.inner &&
      (!op.mask || op.mask_outer == op.n_inner * op.mask_inner)) {
    op.n_inner *= op.n_outer; // one long run of neighbours
    op.n_outer = 1;
  }
  const bool along = op.n_outer * op.n_inner == 1 || size(op.step) < size(op.inner);
  const Index columns = along ? 1 : std::min<Index>(op.n_inner, 8192);
  const Index blocks = (op.n_inner + columns - 1) / columns;
  const Index tasks = op.n_outer * blocks;
  const Index worth = 1 + op.length * op.n_outer * op.n_inner / 65536; // waking one costs time
  const int team = static_cast<int>(std::min<Index>({thread_number(threads), tasks, worth}));
  std::vector<Worker> workers(static_cast<std::size_t>(team));
  share(tasks, team, [&](Index begin, Index end, int worker) {
    Worker& mine = workers[std::size_t(worker)];
    mine.prepare(op, columns, along);
    for (Index task = begin; task < end; ++task)
      mine.scan(op, task / blocks, task % blocks * columns, columns, along);
  });
  for (const Worker& worker : workers)
    worker.add_to(op);
}

} // namespace micro3d
