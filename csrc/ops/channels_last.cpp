// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/channels_last.hpp"

#include "core/for_each.hpp" // for for_each
#include "core/simd.hpp"     // for in_best_isa

#include <type_traits> // for integral_constant
#include <vector>      // for vector

namespace micro3d {

namespace {

// The loops over channels become SIMD: numbers per channel are first written as rows of float32,
// and sums are kept in float32 over `part` pixels only.
constexpr Index part = 64;

struct Rows {
  Index n;
  std::vector<float> numbers;

  Rows(Index rows, Index channels)
      : n(channels), numbers(static_cast<std::size_t>(rows * channels)) {}
  float* row(Index i) { return numbers.data() + i * n; }
};

/// sums[c] and squares[c] of x + before over pixels of an image.
template <Element E> struct SumsBody {
  using P = Elements<E, 1>;
  static M3D_BODY void run(const P* x, Index pixels, Index n, const float* __restrict before,
                           float* __restrict s, float* __restrict q, double* sums,
                           double* squares) {
    for (Index first = 0; first < pixels; first += part) {
      for (Index c = 0; c < n; ++c)
        s[c] = q[c] = 0.0f;
      const Index end = first + part < pixels ? first + part : pixels;
      for (Index p = first; p < end; ++p)
        for (Index c = 0; c < n; ++c) {
          const float value = x[p * n + c].get(0) + before[c];
          s[c] += value;
          q[c] += value * value;
        }
      for (Index c = 0; c < n; ++c) {
        sums[c] += double(s[c]);
        squares[c] += double(q[c]);
      }
    }
  }
};

template <Element E> struct NormalizeBody {
  using P = Elements<E, 1>;
  static M3D_BODY void run(const GroupNorm* op, const P* x, P* out, const float* __restrict gain,
                           const float* __restrict offset) {
    const Index n = op->channels;
    if (op->silu)
      for (Index p = 0; p < op->pixels; ++p)
        for (Index c = 0; c < n; ++c)
          out[p * n + c].set(0, silu<E>(gain[c] * x[p * n + c].get(0) + offset[c]));
    else
      for (Index p = 0; p < op->pixels; ++p)
        for (Index c = 0; c < n; ++c)
          out[p * n + c].set(0, gain[c] * x[p * n + c].get(0) + offset[c]);
  }
};

template <Element E> void group_norm_of(const GroupNorm& op, int threads) {
  using P = Elements<E, 1>;
  for_each(Cpu{threads}, op.images, [&](Index b) {
    const P* x = static_cast<const P*>(op.x) + b * op.pixels * op.channels;
    P* out = static_cast<P*>(op.out) + b * op.pixels * op.channels;
    const Index n = op.channels, size = op.group_size();
    Rows rows(5, n);
    float *before = rows.row(0), *gain = rows.row(1), *offset = rows.row(2);
    for (Index c = 0; c < n; ++c)
      before[c] = op.before.present() ? op.before.at(b, c) : 0.0f;
    std::vector<double> sums(static_cast<std::size_t>(2 * n));
    in_best_isa<SumsBody<E>>(x, op.pixels, n, before, rows.row(3), rows.row(4), sums.data(),
                             sums.data() + n);
    for (Index g = 0; g < op.groups; ++g) {
      double sum = 0.0, squares = 0.0;
      for (Index c = g * size; c < (g + 1) * size; ++c) {
        sum += sums[std::size_t(c)];
        squares += sums[std::size_t(n + c)];
      }
      const double count = double(op.pixels * size), mean = sum / count;
      const double variance = squares / count - mean * mean;
      const double inverse = 1.0 / std::sqrt((variance > 0.0 ? variance : 0.0) + op.epsilon);
      if (op.statistics != nullptr) {
        op.statistics[(b * op.groups + g) * 2] = float(mean);
        op.statistics[(b * op.groups + g) * 2 + 1] = float(inverse);
      }
      for (Index c = g * size; c < (g + 1) * size; ++c)
        op.affine(b, c, float(mean), float(inverse), gain[c], offset[c]);
    }
    in_best_isa<NormalizeBody<E>>(&op, x, out, gain, offset);
  });
}

/// Rows of numbers per channel of an image for the gradient.
struct GradientRows {
  const float *gain, *offset;     // z = gain * normalized + offset
  const float *inverse, *shifted; // normalized = inverse * x - shifted
  const float *mean_first, *mean_second;
};

/// The gradient of z of one channel of one pixel, and the normalized value.
template <bool with_silu, Element E>
M3D_BODY float gradient_of_z(const GradientRows& r, Index c, float x, float dy, float& normal) {
  normal = r.inverse[c] * x - r.shifted[c];
  return with_silu ? dy * silu_slope<E>(r.gain[c] * normal + r.offset[c]) : dy;
}

/// first[c] and second[c]: sums of the gradient of z, and of it times the normalized value.
template <bool with_silu, Element E> struct GradientSumsBody {
  using P = Elements<E, 1>;
  static M3D_BODY void run(GradientRows r, const P* x, const P* dy, Index pixels, Index n,
                           float* __restrict s, float* __restrict q, double* first,
                           double* second) {
    for (Index start = 0; start < pixels; start += part) {
      for (Index c = 0; c < n; ++c)
        s[c] = q[c] = 0.0f;
      const Index end = start + part < pixels ? start + part : pixels;
      for (Index p = start; p < end; ++p)
        for (Index c = 0; c < n; ++c) {
          float normal;
          const float dz =
              gradient_of_z<with_silu, E>(r, c, x[p * n + c].get(0), dy[p * n + c].get(0), normal);
          s[c] += dz;
          q[c] += dz * normal;
        }
      for (Index c = 0; c < n; ++c) {
        first[c] += double(s[c]);
        second[c] += double(q[c]);
      }
    }
  }
};

template <bool with_silu, Element E> struct GradientBody {
  using P = Elements<E, 1>;
  static M3D_BODY void run(GradientRows r, const P* x, const P* dy, P* __restrict out, Index pixels,
                           Index n) {
    for (Index p = 0; p < pixels; ++p)
      for (Index c = 0; c < n; ++c) {
        float normal;
        const float dz =
            gradient_of_z<with_silu, E>(r, c, x[p * n + c].get(0), dy[p * n + c].get(0), normal);
        out[p * n + c].set(0, r.inverse[c] *
                                  (r.gain[c] * dz - r.mean_first[c] - normal * r.mean_second[c]));
      }
  }
};

/// The gradient of x of image b; `sums` (2, channels) receives the sums of `GradientSumsBody`.
template <bool with_silu, Element E>
void image_gradient(const GroupNormGradient& op, Index b, double* sums) {
  using P = Elements<E, 1>;
  const GroupNorm& f = op.forward;
  const Index n = f.channels, size = f.group_size(), start = b * f.pixels * n;
  const P *x = static_cast<const P*>(f.x) + start, *dy = static_cast<const P*>(op.gradient) + start;
  Rows rows(8, n);
  const GradientRows r{rows.row(0), rows.row(1), rows.row(2),
                       rows.row(3), rows.row(4), rows.row(5)};
  for (Index c = 0; c < n; ++c) {
    const float* of_group = f.statistics + (b * f.groups + c / size) * 2;
    op.affine(b, c, rows.row(0)[c], rows.row(1)[c]);
    rows.row(2)[c] = of_group[1];
    rows.row(3)[c] = of_group[0] * of_group[1];
  }
  in_best_isa<GradientSumsBody<with_silu, E>>(r, x, dy, f.pixels, n, rows.row(6), rows.row(7), sums,
                                              sums + n);
  for (Index g = 0; g < f.groups; ++g) {
    double first = 0.0, second = 0.0;
    for (Index c = g * size; c < (g + 1) * size; ++c) {
      first += double(r.gain[c]) * sums[c];
      second += double(r.gain[c]) * sums[n + c];
    }
    for (Index c = g * size; c < (g + 1) * size; ++c) {
      rows.row(4)[c] = float(first / double(f.pixels * size));
      rows.row(5)[c] = float(second / double(f.pixels * size));
    }
  }
  in_best_isa<GradientBody<with_silu, E>>(r, x, dy, static_cast<P*>(op.out) + start, f.pixels, n);
}

template <Element E> void group_norm_gradient_of(const GroupNormGradient& op, int threads) {
  const GroupNorm& f = op.forward;
  const Index n = f.channels;
  std::vector<double> all(static_cast<std::size_t>(f.images * n * 2));
  for_each(Cpu{threads}, f.images, [&](Index b) {
    double* sums = all.data() + b * n * 2;
    f.silu ? image_gradient<true, E>(op, b, sums) : image_gradient<false, E>(op, b, sums);
  });
  for (Index c = 0; c < n; ++c) {
    double weight = 0.0, bias = 0.0;
    for (Index b = 0; b < f.images; ++b) {
      const double* sums = all.data() + b * n * 2;
      const double factor = f.scale.present() ? 1.0 + double(f.scale.at(b, c)) : 1.0;
      weight += factor * sums[n + c];
      bias += factor * sums[c];
      if (op.scale != nullptr) {
        op.scale[b * n + c] = float(f.weight.at(b, c) * sums[n + c] + f.bias.at(b, c) * sums[c]);
        op.shift[b * n + c] = float(sums[c]);
      }
    }
    op.weight[c] = float(weight);
    op.bias[c] = float(bias);
  }
}

template <bool with_silu, bool with_add, Element E> struct AffineBody {
  using P = Elements<E, 1>;
  static M3D_BODY void run(const P* x, [[maybe_unused]] const P* add, P* out, Index pixels, Index n,
                           const float* __restrict bias, const float* __restrict scale) {
    for (Index p = 0; p < pixels; ++p)
      for (Index c = 0; c < n; ++c) {
        float y = (x[p * n + c].get(0) + bias[c]) * scale[c];
        if constexpr (with_add)
          y += add[p * n + c].get(0);
        out[p * n + c].set(0, with_silu ? silu<E>(y) : y);
      }
  }
};

template <Element E> void channel_affine_of(const ChannelAffine& op, int threads) {
  using P = Elements<E, 1>;
  const Index n = op.channels, parts = (op.pixels + part - 1) / part;
  for_each(Cpu{threads}, op.images * parts, [&](Index i) {
    const Index image = i / parts, first = i % parts * part;
    const Index pixels = op.pixels - first < part ? op.pixels - first : part;
    const Index start = (image * op.pixels + first) * n;
    Rows rows(2, n);
    for (Index c = 0; c < n; ++c) {
      rows.row(0)[c] = op.bias.present() ? op.bias.at(image, c) : 0.0f;
      rows.row(1)[c] = op.scale.present() ? op.scale.at(image, c) : 1.0f;
    }
    const P* const x = static_cast<const P*>(op.x) + start;
    const P* const add = op.add != nullptr ? static_cast<const P*>(op.add) + start : nullptr;
    P* const out = static_cast<P*>(op.out) + start;
    const float *const bias = rows.row(0), *const scale = rows.row(1);
    if (op.silu)
      add != nullptr ? in_best_isa<AffineBody<true, true, E>>(x, add, out, pixels, n, bias, scale)
                     : in_best_isa<AffineBody<true, false, E>>(x, add, out, pixels, n, bias, scale);
    else
      add != nullptr
          ? in_best_isa<AffineBody<false, true, E>>(x, add, out, pixels, n, bias, scale)
          : in_best_isa<AffineBody<false, false, E>>(x, add, out, pixels, n, bias, scale);
  });
}

template <Element E> struct UnitRowsBody {
  using P = Elements<E, 1>;
  static M3D_BODY void run(const P* x, P* out, Index rows, Index size,
                           const float* __restrict scale) {
    constexpr Index lanes = 8;
    for (Index row = 0; row < rows; ++row, x += size, out += size) {
      float squares[lanes] = {}, sum = 0.0f;
      Index c = 0;
      for (; c + lanes <= size; c += lanes)
        for (Index j = 0; j < lanes; ++j)
          squares[j] += x[c + j].get(0) * x[c + j].get(0);
      for (; c < size; ++c)
        sum += x[c].get(0) * x[c].get(0);
      for (Index j = 0; j < lanes; ++j)
        sum += squares[j];
      const float inverse = UnitRows::inverse(sum);
      for (c = 0; c < size; ++c)
        out[c].set(0, x[c].get(0) * inverse * scale[c]);
    }
  }
};

template <Element E> void unit_rows_of(const UnitRows& op, int threads) {
  using P = Elements<E, 1>;
  Rows scale(1, op.size);
  for (Index c = 0; c < op.size; ++c)
    scale.row(0)[c] = op.scale.at(0, c);
  for_each(Cpu{threads}, (op.rows + part - 1) / part, [&](Index i) {
    const Index first = i * part, rows = op.rows - first < part ? op.rows - first : part;
    in_best_isa<UnitRowsBody<E>>(static_cast<const P*>(op.x) + first * op.size,
                                 static_cast<P*>(op.out) + first * op.size, rows, op.size,
                                 scale.row(0));
  });
}

/// Calls call(e) with the type of `element` in e.
template <class Call> void with_element(Element element, const Call& call) {
  if (element == Element::f32)
    call(std::integral_constant<Element, Element::f32>{});
  else if (element == Element::bf16)
    call(std::integral_constant<Element, Element::bf16>{});
  else
    call(std::integral_constant<Element, Element::f16>{});
}

} // namespace

void group_norm_cpu(const GroupNorm& op, int threads) {
  with_element(op.element, [&](auto e) { group_norm_of<decltype(e)::value>(op, threads); });
}

void group_norm_gradient_cpu(const GroupNormGradient& op, int threads) {
  with_element(op.forward.element,
               [&](auto e) { group_norm_gradient_of<decltype(e)::value>(op, threads); });
}

void channel_affine_cpu(const ChannelAffine& op, int threads) {
  with_element(op.element, [&](auto e) { channel_affine_of<decltype(e)::value>(op, threads); });
}

void unit_rows_cpu(const UnitRows& op, int threads) {
  with_element(op.element, [&](auto e) { unit_rows_of<decltype(e)::value>(op, threads); });
}

} // namespace micro3d
