// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/config.hpp" // for M3D_HD, Index

#include <cmath>   // for rint, sqrt
#include <cstdint> // for uint8_t

namespace micro3d {

// The passes around the Fourier transforms of two-point correlations: labels to a padded real
// field, products of spectra, and counts from the inverse transform. The caller's framework does
// the transforms. T is float or double.

/// out[z, y, x] = 1 where the voxel is of the phase (and in the mask), 0 elsewhere and for y >= ny
/// or x >= nx.
template <class T> struct LoadPhase {
  const std::uint8_t* labels;
  const std::uint8_t* mask; // null: every voxel
  Index stride[3], mask_stride[3];
  Index ny, nx, rows, padded; // rows, padded: extents of y and x in `out`
  T* out;
  std::uint8_t phase;
  bool any; // every voxel is of the phase: the mask alone

  M3D_HD T value(Index z, Index y, Index x) const {
    if (x >= nx || y >= ny)
      return T(0);
    if (mask && mask[z * mask_stride[0] + y * mask_stride[1] + x * mask_stride[2]] == 0)
      return T(0);
    return T(any || labels[z * stride[0] + y * stride[1] + x * stride[2]] == phase);
  }
  M3D_HD void store(Index z, Index y, Index x) const {
    out[(z * rows + y) * padded + x] = value(z, y, x);
  }
};

/// out[n] = |a[n]|^2, real; or, with `b`, b[n] = conj(a[n]) b[n], in place.
template <class T> struct MultiplySpectra {
  const T* a; // complex numbers as pairs
  T* b;       // null: the power of `a`
  T* out;     // null: the product stays in `b`

  M3D_HD T power(T re, T im) const { return re * re + im * im; }
  M3D_HD void operator()(Index n) const {
    const T re = a[2 * n], im = a[2 * n + 1];
    if (b == nullptr) {
      out[n] = power(re, im);
      return;
    }
    const T x = b[2 * n], y = b[2 * n + 1];
    b[2 * n] = re * x + im * y;
    b[2 * n + 1] = re * y - im * x;
  }
};

/// The lags kept along an axis: 0 ... positive - 1, then -(size - positive) ... -1.
struct LagWindow {
  Index size, positive, padded; // padded: extent of the transform

  M3D_HD Index source(Index i) const { return i < positive ? i : padded - size + i; }
  M3D_HD Index mirror(Index i) const { return i == 0 ? 0 : size - i; }
};

/// Transformed planes to counts of pairs: crop, scale, round, divide by the pairs, mirror.
///
/// in[k, j, i] are the planes of lags z = first ... first + planes - 1 (indices of `out`);
/// out[z, y, x] the whole map. With `mirrored`, the plane of -z is written too.
template <class T> struct StoreCounts {
  const T* in;
  Index in_plane, in_row; // strides of `in`, in elements
  Index first;
  LagWindow y, x;
  Index size_z; // planes of `out`
  T scale;
  const double *pairs_z, *pairs_y, *pairs_x; // factors of the number of pairs; null: plain counts
  T* out;
  bool mirrored;

  M3D_HD T value(T raw, double pairs) const {
    const T count = std::rint(raw * scale);
    return pairs_z ? T(double(count) / pairs) : count;
  }
  M3D_HD void store(Index k, Index j, Index i) const {
    const Index z = first + k, back = z == 0 ? 0 : size_z - z;
    const double pairs = pairs_z ? pairs_z[z] * pairs_y[j] * pairs_x[i] : 1.0;
    const T v = value(in[k * in_plane + y.source(j) * in_row + x.source(i)], pairs);
    out[(z * y.size + j) * x.size + i] = v;
    if (mirrored && back != z)
      out[(back * y.size + y.mirror(j)) * x.size + x.mirror(i)] = v;
  }
};

/// The same planes, summed by the length of the lag: bin b holds lengths that round to b widths.
template <class T> struct SumRadially {
  StoreCounts<T> planes;                        // its `out` is not used
  const double *square_z, *square_y, *square_x; // squared lengths of the lags of each axis
  double width;
  Index bins;
  std::int64_t* hits;  // [bins]
  std::int64_t* pairs; // [bins], or null
  std::int64_t* lags;  // [bins], or null

  /// The bin of a lag; `bins` beyond the last one, and for a length that is not a number.
  M3D_HD Index bin(Index z, Index j, Index i) const {
    const double b = std::rint(std::sqrt(square_z[z] + square_y[j] + square_x[i]) / width);
    return b < static_cast<double>(bins) ? static_cast<Index>(b) : bins;
  }
  /// A count as an integer; 0 for what is no count.
  M3D_HD static std::int64_t whole(double count) {
    constexpr double most = 9007199254740992.0; // 2^53
    return count > -most && count < most ? static_cast<std::int64_t>(count) : 0;
  }
  template <class Add> M3D_HD void sum(Index k, Index j, Index i, const Add& add) const {
    const Index z = planes.first + k;
    const Index b = bin(z, j, i);
    if (b >= bins)
      return;
    const int twice = planes.mirrored && z != 0 && planes.size_z - z != z ? 2 : 1;
    const T raw =
        planes.in[k * planes.in_plane + planes.y.source(j) * planes.in_row + planes.x.source(i)];
    add.hits(b, twice * whole(std::rint(raw * planes.scale)));
    if (pairs)
      add.pairs(b, twice * whole(planes.pairs_z[z] * planes.pairs_y[j] * planes.pairs_x[i]));
    if (lags)
      add.lags(b, twice);
  }
};

/// A CUDA block's histograms: 64-bit counters as two words of 32 bits, which shared memory adds
/// natively. words: [hits, pairs, lags][bins] low, then high; add_word(p, n) returns the
/// previous value.
template <class AddWord> struct SplitSums {
  std::uint32_t* words;
  Index bins;
  AddWord add_word;

  M3D_HD void add(Index slot, std::int64_t n) const {
    const auto low = static_cast<std::uint32_t>(n);
    const std::uint32_t sum = add_word(words + slot, low) + low;
    const std::uint32_t high =
        static_cast<std::uint32_t>(static_cast<std::uint64_t>(n) >> 32) + (sum < low ? 1u : 0u);
    if (high != 0)
      (void)add_word(words + 3 * bins + slot, high);
  }
  M3D_HD void hits(Index b, std::int64_t n) const {
    if (n != 0)
      add(b, n);
  }
  M3D_HD void pairs(Index b, std::int64_t n) const { add(bins + b, n); }
  M3D_HD void lags(Index b, std::int64_t n) const { add(2 * bins + b, n); }

  M3D_HD std::int64_t total(Index slot) const {
    return static_cast<std::int64_t>(std::uint64_t(words[3 * bins + slot]) << 32 | words[slot]);
  }
};

// spectrum.cpp, spectrum.cu; n counts the elements of `out`
template <class T> void load_phase_cpu(Index n, const LoadPhase<T>& op, int threads);
template <class T> void load_phase_cuda(Index n, const LoadPhase<T>& op, std::uintptr_t stream);
template <class T> void multiply_spectra_cpu(Index n, const MultiplySpectra<T>& op, int threads);
template <class T>
void multiply_spectra_cuda(Index n, const MultiplySpectra<T>& op, std::uintptr_t stream);
template <class T> void store_counts_cpu(Index planes, const StoreCounts<T>& op, int threads);
template <class T>
void store_counts_cuda(Index planes, const StoreCounts<T>& op, std::uintptr_t stream);
template <class T> void sum_radially_cpu(Index planes, const SumRadially<T>& op, int threads);
template <class T>
void sum_radially_cuda(Index planes, const SumRadially<T>& op, std::uintptr_t stream);

} // namespace micro3d
