// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/reverse_step.hpp"

#include "bindings/bindings.hpp"

namespace micro3d {

static Field field_of(const Array& a) {
  return {a.data_untyped(), {a.stride(0), a.stride(1), a.stride(2), a.stride(3)}, element_of(a)};
}

static void reverse_step(Object x, Object net, Object net_uncond, Object h0, Object out,
                         Object out_net, Object a, Object b, Object noise, Object h,
                         Object guidance_in, Object clip_in, Object seed, Object draw,
                         Object origin_in, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const double guidance = number(guidance_in, "guidance");
  const auto origin = integers<3>(origin_in, "origin", 0, Index(1) << 32);
  using R = ReverseStep;
  const py::object* const given[R::roles] = {&x, &net, &net_uncond, &h0, &out, &out_net};
  constexpr const char* names[R::roles] = {"x", "net", "net_uncond", "h0", "out", "out_net"};
  std::optional<Array> arrays[R::roles];
  ReverseStep op{};
  for (int role = 0; role < R::roles; ++role) {
    const bool optional = role == R::Uncond || role == R::H0 || role == R::OutNet;
    if (optional && given[role]->is_none())
      continue;
    arrays[role].emplace(*given[role], names[role], role >= R::Out ? Access::write : Access::read,
                         stream);
    const Array& array = *arrays[role];
    array.require_ndim(4);
    if (role != R::X) {
      array.require_shape(arrays[R::X]->shape());
      array.require_same_device(*arrays[R::X]);
    }
    if (role == R::X || role == R::H0 || role == R::Out)
      array.require_dtype({DType::f32});
    else
      array.require_dtype({DType::f32, DType::bf16, DType::f16});
    if (role >= R::Out) {
      array.require_distinct_elements();
      for (int other = 0; other < role; ++other)
        if (arrays[other])
          array.require_no_overlap(*arrays[other]);
    }
    op.field[role] = field_of(array);
  }
  const Array& first = *arrays[R::X];
  for (int axis = 0; axis < 4; ++axis)
    op.extent[axis] = first.extent(axis);
  if (op.extent[0] > 256)
    throw py::value_error("`x` must have at most 256 channels, got shape " +
                          shape_text(first.shape()));
  constexpr std::int64_t limit[3] = {std::int64_t(1) << 32, std::int64_t(1) << 32,
                                     std::int64_t(1) << 26};
  for (int axis = 0; axis < 3; ++axis) {
    const std::int64_t from = origin[std::size_t(axis)];
    if (from > limit[axis] - op.extent[axis + 1])
      throw py::value_error("`origin` must keep the global index below (2^32, 2^32, 2^26), got " +
                            shape_text({origin[0], origin[1], origin[2]}) + " for shape " +
                            shape_text(first.shape()));
    op.origin[axis + 1] = static_cast<std::uint32_t>(from);
  }
  op.a = static_cast<float>(number(a, "a"));
  op.b = static_cast<float>(number(b, "b"));
  op.noise = static_cast<float>(number(noise, "noise"));
  op.h = static_cast<float>(number(h, "h"));
  op.guidance = static_cast<float>(guidance);
  op.unguided = static_cast<float>(1.0 - guidance);
  op.clip = !clip_in.is_none();
  if (op.clip) {
    const auto clip = numbers<2>(clip_in, "clip");
    op.p = static_cast<float>(clip[0]);
    op.q = static_cast<float>(clip[1]);
  }
  op.seed = unsigned_integer(seed, "seed");
  op.draw = static_cast<std::uint32_t>(integer(draw, "draw", 0, 0xffffffff));
  if (first.size() > 0)
    run_on_device(
        first, stream, [&] { reverse_step_cpu(op, threads); },
        [&](std::uintptr_t s) { reverse_step_cuda(op, s); });
}

static void bind_reverse_step(py::module_& m) {
  m.def("reverse_step", &reverse_step, py::arg("x"), py::arg("net"), py::arg("net_uncond"),
        py::arg("h0"), py::arg("out"), py::arg("out_net"), py::arg("a"), py::arg("b"),
        py::arg("noise"), py::arg("h"), py::arg("guidance"), py::arg("clip"), py::arg("seed"),
        py::arg("draw"), py::arg("origin"), py::arg("stream"), py::arg("threads"));
}
M3D_BINDING(bind_reverse_step);

} // namespace micro3d
