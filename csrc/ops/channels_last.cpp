// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/channels_last.hpp"

#include "core/for_each.hpp" // for for_each

#include <type_traits> // for integral_constant
#include <vector>      // for vector

namespace micro3d {

namespace {

template <Element E> void group_norm_of(const GroupNorm& op, int threads) {
  using P = Elements<E, 1>;
  const auto image = [&](Index b) {
    const P* x = static_cast<const P*>(op.x) + b * op.pixels * op.channels;
    P* out = static_cast<P*>(op.out) + b * op.pixels * op.channels;
    const Index size = op.group_size();
    std::vector<float> gain(static_cast<std::size_t>(op.channels)), offset(gain);
    for (Index g = 0; g < op.groups; ++g) {
      double sum = 0.0, squares = 0.0;
      for (Index p = 0; p < op.pixels; ++p)
        for (Index c = g * size; c < (g + 1) * size; ++c) {
          const float before = op.before.present() ? op.before.at(b, c) : 0.0f;
          const double value = x[p * op.channels + c].get(0) + before;
          sum += value;
          squares += value * value;
        }
      const double count = double(op.pixels * size), mean = sum / count;
      const double variance = squares / count - mean * mean;
      const auto place = static_cast<std::size_t>((b * op.groups + g) * 2);
      const double safe = (variance > 0.0 ? variance : 0.0) + double(op.epsilon);
      if (op.statistics != nullptr) {
        op.statistics[place] = float(mean);
        op.statistics[place + 1] = float(1.0 / std::sqrt(safe));
      }
      for (Index c = g * size; c < (g + 1) * size; ++c)
        op.affine(b, c, float(mean), float(1.0 / std::sqrt(safe)), gain[std::size_t(c)],
                  offset[std::size_t(c)]);
    }
    for (Index p = 0; p < op.pixels; ++p)
      for (Index c = 0; c < op.channels; ++c)
        out[p * op.channels + c].set(0, op.template value<E>(x[p * op.channels + c].get(0),
                                                             gain[std::size_t(c)],
                                                             offset[std::size_t(c)]));
  };
  for_each(Cpu{threads}, op.images, image);
}

template <Element E> void group_norm_gradient_of(const GroupNormGradient& op, int threads) {
  using P = Elements<E, 1>;
  const GroupNorm& f = op.forward;
  const Index size = f.group_size();
  std::vector<double> sums(
      static_cast<std::size_t>(f.images * f.channels * 2)); // dz, dz normalized
  for_each(Cpu{threads}, f.images, [&](Index b) {
    const P* x = static_cast<const P*>(f.x) + b * f.pixels * f.channels;
    const P* dy = static_cast<const P*>(op.gradient) + b * f.pixels * f.channels;
    P* out = static_cast<P*>(op.out) + b * f.pixels * f.channels;
    for (Index g = 0; g < f.groups; ++g) {
      const float mean = f.statistics[(b * f.groups + g) * 2];
      const float inverse = f.statistics[(b * f.groups + g) * 2 + 1];
      double first = 0.0, second = 0.0;
      for (Index c = g * size; c < (g + 1) * size; ++c) {
        float gain, offset;
        op.affine(b, c, gain, offset);
        double* sum = &sums[static_cast<std::size_t>((b * f.channels + c) * 2)];
        for (Index p = 0; p < f.pixels; ++p) {
          const float normal = (x[p * f.channels + c].get(0) - mean) * inverse;
          const float dz =
              op.template inner<E>(dy[p * f.channels + c].get(0), gain * normal + offset);
          sum[0] += dz;
          sum[1] += double(dz) * normal;
        }
        first += gain * sum[0];
        second += gain * sum[1];
      }
      const auto count = double(f.pixels * size);
      const auto mean_first = float(first / count), mean_second = float(second / count);
      for (Index c = g * size; c < (g + 1) * size; ++c) {
        float gain, offset;
        op.affine(b, c, gain, offset);
        for (Index p = 0; p < f.pixels; ++p) {
          const float normal = (x[p * f.channels + c].get(0) - mean) * inverse;
          const float dz =
              op.template inner<E>(dy[p * f.channels + c].get(0), gain * normal + offset);
          out[p * f.channels + c].set(0, inverse * (gain * dz - mean_first - normal * mean_second));
        }
      }
    }
  });
  for (Index c = 0; c < f.channels; ++c) {
    double weight = 0.0, bias = 0.0;
    for (Index b = 0; b < f.images; ++b) {
      const double* sum = &sums[static_cast<std::size_t>((b * f.channels + c) * 2)];
      const double factor = f.scale.present() ? 1.0 + double(f.scale.at(b, c)) : 1.0;
      weight += factor * sum[1];
      bias += factor * sum[0];
      if (op.scale != nullptr) {
        op.scale[b * f.channels + c] = float(f.weight.at(b, c) * sum[1] + f.bias.at(b, c) * sum[0]);
        op.shift[b * f.channels + c] = float(sum[0]);
      }
    }
    op.weight[c] = float(weight);
    op.bias[c] = float(bias);
  }
}

template <Element E> void channel_affine_of(const ChannelAffine& op, int threads) {
  using P = Elements<E, 1>;
  for_each(Cpu{threads}, op.images * op.pixels, [&](Index pixel) {
    const Index image = pixel / op.pixels, first = pixel * op.channels;
    for (Index c = 0; c < op.channels; ++c) {
      const float bias = op.bias.present() ? op.bias.at(image, c) : 0.0f;
      const float scale = op.scale.present() ? op.scale.at(image, c) : 1.0f;
      const float add = op.add != nullptr ? static_cast<const P*>(op.add)[first + c].get(0) : 0.0f;
      const float x = static_cast<const P*>(op.x)[first + c].get(0);
      static_cast<P*>(op.out)[first + c].set(0, op.template value<E>(x, bias, scale, add));
    }
  });
}

template <Element E> void unit_rows_of(const UnitRows& op, int threads) {
  using P = Elements<E, 1>;
  for_each(Cpu{threads}, op.rows, [&](Index row) {
    const P* x = static_cast<const P*>(op.x) + row * op.size;
    P* out = static_cast<P*>(op.out) + row * op.size;
    float squares = 0.0f;
    for (Index c = 0; c < op.size; ++c)
      squares += x[c].get(0) * x[c].get(0);
    const float inverse = UnitRows::inverse(squares);
    for (Index c = 0; c < op.size; ++c)
      out[c].set(0, x[c].get(0) * inverse * op.scale.at(0, c));
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
