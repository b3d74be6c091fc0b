// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/spectrum.hpp"

#include "core/for_each.hpp" // for for_each, share, thread_number

#include <algorithm> // for min
#include <vector>    // for vector

namespace micro3d {

namespace {

int team(Index n, int threads) {
  return static_cast<int>(std::min<Index>(thread_number(threads), 1 + n / (1 << 20)));
}

/// Adds as the counters of CUDA do: absurd counts wrap around.
void add_count(std::int64_t& to, std::int64_t n) {
  to = static_cast<std::int64_t>(static_cast<std::uint64_t>(to) + static_cast<std::uint64_t>(n));
}

/// One thread's histograms.
struct Sums {
  std::int64_t *hit, *pair, *lag;
  void hits(Index b, std::int64_t n) const { add_count(hit[b], n); }
  void pairs(Index b, std::int64_t n) const { add_count(pair[b], n); }
  void lags(Index b, std::int64_t n) const { add_count(lag[b], n); }
};

} // namespace

template <class T> void load_phase_cpu(Index n, const LoadPhase<T>& op, int threads) {
  const Index rows = n / op.padded;
  for_each(Cpu{team(n, threads)}, rows, [&op](Index row) {
    for (Index x = 0; x < op.padded; ++x)
      op.store(row / op.rows, row % op.rows, x);
  });
}

template <class T> void multiply_spectra_cpu(Index n, const MultiplySpectra<T>& op, int threads) {
  for_each(Cpu{team(n, threads)}, n, op);
}

template <class T> void store_counts_cpu(Index planes, const StoreCounts<T>& op, int threads) {
  const Index n = planes * op.y.size * op.x.size;
  for_each(Cpu{team(n, threads)}, planes * op.y.size, [&op](Index row) {
    const Index k = row / op.y.size, j = row % op.y.size;
    for (Index i = 0; i < op.x.size; ++i)
      op.store(k, j, i);
  });
}

template <class T> void sum_radially_cpu(Index planes, const SumRadially<T>& op, int threads) {
  const StoreCounts<T>& p = op.planes;
  const Index rows = planes * p.y.size;
  const int workers = team(rows * p.x.size, threads);
  const auto bins = static_cast<std::size_t>(op.bins);
  std::vector<std::vector<std::int64_t>> sums(std::size_t(workers),
                                              std::vector<std::int64_t>(3 * bins));
  const auto of = [&](std::size_t worker) -> Sums {
    std::int64_t* const first = sums[worker].data();
    return {first, first + bins, first + 2 * bins};
  };
  share(rows, workers, [&](Index begin, Index end, int worker) {
    const Sums mine = of(std::size_t(worker));
    for (Index row = begin; row < end; ++row)
      for (Index i = 0; i < p.x.size; ++i)
        op.sum(row / p.y.size, row % p.y.size, i, mine);
  });
  for (std::size_t worker = 0; worker < sums.size(); ++worker) {
    const Sums mine = of(worker);
    for (std::size_t b = 0; b < bins; ++b) {
      add_count(op.hits[b], mine.hit[b]);
      if (op.pairs)
        add_count(op.pairs[b], mine.pair[b]);
      if (op.lags)
        add_count(op.lags[b], mine.lag[b]);
    }
  }
}

template void load_phase_cpu(Index, const LoadPhase<float>&, int);
template void load_phase_cpu(Index, const LoadPhase<double>&, int);
template void multiply_spectra_cpu(Index, const MultiplySpectra<float>&, int);
template void multiply_spectra_cpu(Index, const MultiplySpectra<double>&, int);
template void store_counts_cpu(Index, const StoreCounts<float>&, int);
template void store_counts_cpu(Index, const StoreCounts<double>&, int);
template void sum_radially_cpu(Index, const SumRadially<float>&, int);
template void sum_radially_cpu(Index, const SumRadially<double>&, int);

} // namespace micro3d
