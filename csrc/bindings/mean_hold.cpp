// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/mean_hold.hpp"

#include "bindings/bindings.hpp"

#include <array> // for array

namespace micro3d {

static void hold_mean(Object x, Object net, Object net_uncond, Object mean, Object tilt, Object p,
                      Object q, Object guidance_in, Object part_in, Object every_in,
                      Object partials, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const double guidance = number(guidance_in, "guidance");
  const auto part = integers<3>(part_in, "part", 1, most_extent);
  const Index every = integer(every_in, "every", 1, most_extent);
  using M = MeanHold;
  const py::object* const given[M::roles] = {&x, &net, &net_uncond};
  constexpr const char* names[M::roles] = {"x", "net", "net_uncond"};
  std::optional<Array> arrays[M::roles];
  MeanHold op{};
  for (int role = 0; role < M::roles; ++role) {
    if (role == M::Uncond && given[role]->is_none())
      continue;
    Array& array = arrays[role].emplace(*given[role], names[role],
                                        role == M::X ? Access::read : Access::write, stream);
    array.require_ndim(5);
    array.require_shape(arrays[M::X]->shape());
    array.require_same_device(*arrays[M::X]);
    if (role == M::X) {
      array.require_dtype({DType::f32});
    } else {
      array.require_dtype({DType::f32, DType::bf16, DType::f16});
      array.require_distinct_elements();
    }
    op.field[role] = {array.data_untyped(),
                      {array.stride(2), array.stride(1), array.stride(3), array.stride(4)},
                      element_of(array)};
    op.volume_stride[role] = array.stride(0);
  }
  const Array& first = *arrays[M::X];
  const Index extent[4] = {first.extent(2), first.extent(1), first.extent(3), first.extent(4)};
  const Array am(mean, "mean", Access::read, stream), at(tilt, "tilt", Access::write, stream);
  am.require_shape({extent[0]});
  at.require_shape({first.extent(0), extent[0]});
  for (const Array* array : {&am, &at}) {
    array->require_same_device(first);
    array->require_contiguous();
  }
  am.require_dtype({DType::f32});
  at.require_dtype({DType::f32});
  const Scratch scratch(partials, stream, first, first.extent(0) * extent[0] * mean_hold_scratch);
  const Array *const net_array = or_null(arrays[M::Net]), *const other = or_null(arrays[M::Uncond]);
  require_own_memory({net_array, other, &at, scratch.array()}, {&first, &am});
  if (first.size() == 0)
    return;
  op.volumes = first.extent(0);
  for (int axis = 0; axis < 4; ++axis)
    op.extent[axis] = extent[axis];
  for (int axis = 0; axis < 3; ++axis) {
    op.part[axis] = part[std::size_t(axis)];
    if (op.part[axis] > extent[axis + 1])
      throw py::value_error("`part` must lie within the slices, got " +
                            shape_text({part[0], part[1], part[2]}) + " for shape " +
                            shape_text(first.shape()));
  }
  op.every = every;
  op.wanted = am.data<const float>();
  op.tilt = at.data<float>();
  op.p = static_cast<float>(number(p, "p"));
  op.q = static_cast<float>(number(q, "q"));
  op.guidance = static_cast<float>(guidance);
  op.unguided = static_cast<float>(1.0 - guidance);
  double* const sums = scratch.data();
  run_on_device(
      first, stream, [&] { mean_hold_cpu(op, threads); },
      [&](std::uintptr_t s) { mean_hold_cuda(op, sums, s); });
}

static void bind_hold_mean(py::module_& m) {
  m.attr("MEAN_HOLD_PARTIALS") = mean_hold_scratch;
  m.def("hold_mean", &hold_mean, py::arg("x"), py::arg("net"), py::arg("net_uncond"),
        py::arg("mean"), py::arg("tilt"), py::arg("p"), py::arg("q"), py::arg("guidance"),
        py::arg("part"), py::arg("every"), py::arg("partials"), py::arg("stream"),
        py::arg("threads"));
}
M3D_BINDING(bind_hold_mean);

} // namespace micro3d
