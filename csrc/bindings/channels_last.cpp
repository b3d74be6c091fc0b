// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/channels_last.hpp"

#include "bindings/bindings.hpp"

namespace micro3d {

/// Images (B, C, H, W) whose channels are neighbours in memory.
static void require_images(const Array& a) {
  a.require_ndim(4);
  a.require_dtype({DType::f32, DType::bf16, DType::f16});
  const Index c = a.extent(1), w = a.extent(3), h = a.extent(2);
  const Index wanted[4] = {h * w * c, 1, w * c, c};
  for (int axis = 0; axis < 4; ++axis)
    if (a.extent(axis) > 1 && a.stride(axis) != wanted[axis] && a.size() > 0)
      throw py::value_error("`" + a.name() + "` must be contiguous in the channels-last layout");
}

static void require_like(const Array& a, const Array& x) {
  require_images(a);
  a.require_shape(x.shape());
  a.require_dtype({x.dtype()});
  a.require_same_device(x);
}

/// A vector (C,), or one per image (1 or B, C).
static std::optional<Array> per_channel(const py::object& object, const char* name, Stream stream,
                                        const Array& x, PerChannel& out) {
  std::optional<Array> a = optional_array(object, name, Access::read, stream, x);
  if (!a)
    return a;
  a->require_dtype({DType::f32, DType::bf16, DType::f16});
  const bool rows = a->ndim() == 2;
  if (a->ndim() < 1 || a->ndim() > 2 || a->extent(rows ? 1 : 0) != x.extent(1) ||
      (rows && a->extent(0) != 1 && a->extent(0) != x.extent(0)))
    throw py::value_error("`" + a->name() + "` must be (C,) or (1 or B, C), got " +
                          shape_text(a->shape()) + " for images " + shape_text(x.shape()));
  if (x.extent(1) > 1 && a->stride(rows ? 1 : 0) != 1)
    throw py::value_error("`" + a->name() + "` must be contiguous along the channels");
  out = {a->data_untyped(), rows && a->extent(0) > 1 ? a->stride(0) : 0, element_of(*a)};
  return a;
}

/// The operator of these images, without its arrays.
static GroupNorm group_norm_of(const Array& x, Index groups, bool silu) {
  GroupNorm op{};
  op.x = x.data_untyped();
  op.element = element_of(x);
  op.images = x.extent(0);
  op.channels = x.extent(1);
  op.pixels = x.extent(2) * x.extent(3);
  op.groups = groups;
  op.silu = silu;
  if (op.channels % groups != 0 || op.channels > 4096)
    throw py::value_error("`groups` must divide the channels, at most 4096, got " +
                          std::to_string(groups) + " for " + std::to_string(op.channels));
  return op;
}

/// The scratch memory: `needed` float32 on CUDA.
static std::optional<Array> scratch_of(const py::object& partials_in, Stream stream, const Array& x,
                                       Index needed) {
  std::optional<Array> partials = optional_array(partials_in, "partials", Access::write, stream, x);
  if (partials) {
    partials->require_dtype({DType::f32});
    partials->require_contiguous();
  }
  if (x.is_cuda() && (partials ? partials->size() : 0) < needed)
    throw py::value_error("`partials` must hold " + std::to_string(needed) + " float32");
  return partials;
}

/// Float32 of a shape, contiguous.
static std::optional<Array> numbers(const py::object& object, const char* name, Access access,
                                    Stream stream, const Array& x,
                                    const std::vector<Index>& shape) {
  std::optional<Array> a = optional_array(object, name, access, stream, x);
  if (a) {
    a->require_dtype({DType::f32});
    a->require_shape(shape);
    a->require_contiguous();
  }
  return a;
}

static void group_norm(Object x_in, Object out_in, Object groups_in, Object epsilon,
                       Object weight_in, Object bias_in, Object before_in, Object scale_in,
                       Object shift_in, Object silu, Object statistics_in, Object partials_in,
                       Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Index groups = integer(groups_in, "groups", 1, 4096);
  const Array x(x_in, "x", Access::read, stream), out(out_in, "out", Access::write, stream);
  require_images(x);
  require_like(out, x);
  out.require_same_or_apart(x);
  GroupNorm op = group_norm_of(x, groups, flag(silu, "silu"));
  op.out = out.data_untyped();
  op.epsilon = static_cast<float>(number(epsilon, "epsilon"));
  const auto weight = per_channel(weight_in, "weight", stream, x, op.weight);
  const auto bias = per_channel(bias_in, "bias", stream, x, op.bias);
  const auto before = per_channel(before_in, "before", stream, x, op.before);
  const auto scale = per_channel(scale_in, "scale", stream, x, op.scale);
  const auto shift = per_channel(shift_in, "shift", stream, x, op.shift);
  if (!weight || !bias || scale.has_value() != shift.has_value())
    throw py::value_error("`weight` and `bias` must be given, `scale` and `shift` together");
  const auto statistics =
      numbers(statistics_in, "statistics", Access::write, stream, x, {op.images, groups, 2});
  op.statistics = data_or_null<float>(statistics);
  const auto partials =
      scratch_of(partials_in, stream, x, op.images * groups * 3 * GroupNorm::most_parts);
  float* const scratch = data_or_null<float>(partials);
  require_own_memory({&out, or_null(statistics), or_null(partials)},
                     {&*weight, &*bias, or_null(before), or_null(scale), or_null(shift)});
  require_own_memory({or_null(statistics), or_null(partials)}, {&x});
  if (x.size() > 0)
    run_on_device(
        x, stream, [&] { group_norm_cpu(op, threads); },
        [&](std::uintptr_t s) { group_norm_cuda(op, scratch, s); });
}

static void group_norm_gradient(Object x_in, Object gradient_in, Object out_in, Object groups_in,
                                Object weight_in, Object bias_in, Object scale_in, Object shift_in,
                                Object silu, Object statistics_in, Object d_weight_in,
                                Object d_bias_in, Object d_scale_in, Object d_shift_in,
                                Object partials_in, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Index groups = integer(groups_in, "groups", 1, 4096);
  const Array x(x_in, "x", Access::read, stream);
  const Array gradient(gradient_in, "gradient", Access::read, stream);
  const Array out(out_in, "out", Access::write, stream);
  require_images(x);
  require_like(gradient, x);
  require_like(out, x);
  out.require_same_or_apart(gradient);
  GroupNormGradient op{};
  GroupNorm& f = op.forward = group_norm_of(x, groups, flag(silu, "silu"));
  op.gradient = gradient.data_untyped();
  op.out = out.data_untyped();
  const auto weight = per_channel(weight_in, "weight", stream, x, f.weight);
  const auto bias = per_channel(bias_in, "bias", stream, x, f.bias);
  const auto scale = per_channel(scale_in, "scale", stream, x, f.scale);
  const auto shift = per_channel(shift_in, "shift", stream, x, f.shift);
  const std::vector<Index> one{f.channels}, each{f.images, f.channels};
  const auto statistics =
      numbers(statistics_in, "statistics", Access::read, stream, x, {f.images, groups, 2});
  const auto d_weight = numbers(d_weight_in, "d_weight", Access::write, stream, x, one);
  const auto d_bias = numbers(d_bias_in, "d_bias", Access::write, stream, x, one);
  const auto d_scale = numbers(d_scale_in, "d_scale", Access::write, stream, x, each);
  const auto d_shift = numbers(d_shift_in, "d_shift", Access::write, stream, x, each);
  if (!weight || !bias || !statistics || !d_weight || !d_bias ||
      scale.has_value() != shift.has_value() || scale.has_value() != d_scale.has_value() ||
      scale.has_value() != d_shift.has_value())
    throw py::value_error("`scale`, `shift` and their gradients must be given together, the "
                          "others always");
  f.statistics = statistics->data<float>();
  op.weight = d_weight->data<float>();
  op.bias = d_bias->data<float>();
  op.scale = data_or_null<float>(d_scale);
  op.shift = data_or_null<float>(d_shift);
  const Index sums = f.channels * 2 * (GroupNormGradient::most_parts + 1);
  const auto partials = scratch_of(partials_in, stream, x, f.images * (sums + groups * 2));
  float* const scratch = data_or_null<float>(partials);
  require_own_memory(
      {&out, &*d_weight, &*d_bias, or_null(d_scale), or_null(d_shift), or_null(partials)},
      {&x, &*weight, &*bias, or_null(scale), or_null(shift), &*statistics});
  require_own_memory({&*d_weight, &*d_bias, or_null(d_scale), or_null(d_shift), or_null(partials)},
                     {&gradient});
  if (x.size() > 0)
    run_on_device(
        x, stream, [&] { group_norm_gradient_cpu(op, threads); },
        [&](std::uintptr_t s) { group_norm_gradient_cuda(op, scratch, s); });
}

static void channel_affine(Object x_in, Object out_in, Object bias_in, Object scale_in,
                           Object add_in, Object silu, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Array x(x_in, "x", Access::read, stream), out(out_in, "out", Access::write, stream);
  require_images(x);
  require_like(out, x);
  const auto add = optional_array(add_in, "add", Access::read, stream, x);
  out.require_same_or_apart(x);
  if (add) {
    require_like(*add, x);
    out.require_same_or_apart(*add);
  }
  ChannelAffine op{};
  op.x = x.data_untyped();
  op.add = add ? add->data_untyped() : nullptr;
  op.out = out.data_untyped();
  op.element = element_of(x);
  op.images = x.extent(0);
  op.channels = x.extent(1);
  op.pixels = x.extent(2) * x.extent(3);
  op.silu = flag(silu, "silu");
  const auto bias = per_channel(bias_in, "bias", stream, x, op.bias);
  const auto scale = per_channel(scale_in, "scale", stream, x, op.scale);
  require_own_memory({&out}, {or_null(bias), or_null(scale)});
  if (x.size() > 0)
    run_on_device(
        x, stream, [&] { channel_affine_cpu(op, threads); },
        [&](std::uintptr_t s) { channel_affine_cuda(op, s); });
}

static void unit_rows(Object x_in, Object out_in, Object scale_in, Object stream_in,
                      Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Array x(x_in, "x", Access::read, stream), out(out_in, "out", Access::write, stream);
  const Array scale(scale_in, "scale", Access::read, stream);
  for (const Array* a : {&x, &out, &scale})
    a->require_dtype({DType::f32, DType::bf16, DType::f16});
  x.require_contiguous();
  out.require_contiguous();
  out.require_shape(x.shape());
  out.require_dtype({x.dtype()});
  out.require_same_device(x);
  scale.require_same_device(x);
  scale.require_contiguous();
  out.require_same_or_apart(x);
  require_own_memory({&out}, {&scale});
  if (x.ndim() < 1)
    throw py::value_error("`x` must have an axis of rows, got shape ()");
  const Index size = x.extent(x.ndim() - 1);
  scale.require_shape({size});
  if (size > 256)
    throw py::value_error("`x` must have at most 256 numbers a row, got " + std::to_string(size));
  if (x.size() == 0)
    return;
  const UnitRows op{x.data_untyped(),
                    out.data_untyped(),
                    element_of(x),
                    x.size() / size,
                    size,
                    {scale.data_untyped(), 0, element_of(scale)}};
  run_on_device(
      x, stream, [&] { unit_rows_cpu(op, threads); },
      [&](std::uintptr_t s) { unit_rows_cuda(op, s); });
}

static void bind_channels_last(py::module_& m) {
  m.attr("GROUP_NORM_PARTIALS") = 3 * GroupNorm::most_parts;
  m.def("group_norm", &group_norm, py::arg("x"), py::arg("out"), py::arg("groups"),
        py::arg("epsilon"), py::arg("weight"), py::arg("bias"), py::arg("before"), py::arg("scale"),
        py::arg("shift"), py::arg("silu"), py::arg("statistics"), py::arg("partials"),
        py::arg("stream"), py::arg("threads"));
  m.attr("GROUP_NORM_GRADIENT_PARTIALS") = 2 * (GroupNormGradient::most_parts + 2);
  m.def("group_norm_gradient", &group_norm_gradient, py::arg("x"), py::arg("gradient"),
        py::arg("out"), py::arg("groups"), py::arg("weight"), py::arg("bias"), py::arg("scale"),
        py::arg("shift"), py::arg("silu"), py::arg("statistics"), py::arg("d_weight"),
        py::arg("d_bias"), py::arg("d_scale"), py::arg("d_shift"), py::arg("partials"),
        py::arg("stream"), py::arg("threads"));
  m.def("channel_affine", &channel_affine, py::arg("x"), py::arg("out"), py::arg("bias"),
        py::arg("scale"), py::arg("add"), py::arg("silu"), py::arg("stream"), py::arg("threads"));
  m.def("unit_rows", &unit_rows, py::arg("x"), py::arg("out"), py::arg("scale"), py::arg("stream"),
        py::arg("threads"));
}
M3D_BINDING(bind_channels_last);

} // namespace micro3d
