// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/mean_hold.hpp"

#include "bindings/bindings.hpp"

#include <array> // for array

namespace micro3d {

namespace {

using M = MeanHold;

/// The arguments that both operators share.
struct Given {
  std::optional<Array> arrays[M::roles];
  std::optional<Array> tilt;
  MeanHold op{};

  Given(const std::array<const py::object*, M::roles>& given, Object tilt_in, Object p, Object q,
        Object guidance_in, Object part_in, Object every, Access of_outputs, Access of_tilt,
        const Stream& stream) {
    const double guidance = number(guidance_in, "guidance");
    const auto part = integers<3>(part_in, "part", 1, most_extent);
    op.every = integer(every, "every", 1, most_extent);
    constexpr const char* names[M::roles] = {"x", "net", "net_uncond"};
    for (int role = 0; role < M::roles; ++role) {
      if (role == M::Uncond && given[role]->is_none())
        continue;
      const Access access = role == M::X ? Access::read : of_outputs;
      const Array& array = arrays[role].emplace(*given[role], names[role], access, stream);
      array.require_ndim(5);
      array.require_shape(arrays[M::X]->shape());
      array.require_same_device(*arrays[M::X]);
      if (role == M::X)
        array.require_dtype({DType::f32});
      else
        array.require_dtype({DType::f32, DType::bf16, DType::f16});
      if (access == Access::write)
        array.require_distinct_elements();
      op.field[role] = {array.data_untyped(),
                        {array.stride(2), array.stride(1), array.stride(3), array.stride(4)},
                        element_of(array)};
      op.volume_stride[role] = array.stride(0);
    }
    const Array& x = first();
    const Index extent[4] = {x.extent(2), x.extent(1), x.extent(3), x.extent(4)};
    op.volumes = x.extent(0);
    for (int axis = 0; axis < 4; ++axis)
      op.extent[axis] = extent[axis];
    for (int axis = 0; axis < 3; ++axis) {
      op.part[axis] = part[std::size_t(axis)];
      if (x.size() > 0 && op.part[axis] > extent[axis + 1])
        throw py::value_error("`part` must lie within the slices, got " +
                              shape_text({part[0], part[1], part[2]}) + " for shape " +
                              shape_text(x.shape()));
    }
    per_channel(tilt.emplace(tilt_in, "tilt", of_tilt, stream), {op.volumes, extent[0]});
    op.tilt = tilt->data<float>();
    op.p = static_cast<float>(number(p, "p"));
    op.q = static_cast<float>(number(q, "q"));
    op.guidance = static_cast<float>(guidance);
    op.unguided = static_cast<float>(1.0 - guidance);
  }

  const Array& first() const { return *arrays[M::X]; }

  void per_channel(const Array& array, const std::vector<Index>& shape) const {
    array.require_shape(shape);
    array.require_same_device(first());
    array.require_contiguous();
    array.require_dtype({DType::f32});
  }
};

void hold_mean(Object x, Object net, Object net_uncond, Object mean, Object tilt, Object p,
               Object q, Object guidance, Object part, Object every, Object partials,
               Object stream_in, Object threads_in, Object given_tilt) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  Given given({&x, &net, &net_uncond}, tilt, p, q, guidance, part, every, Access::write,
              Access::write, stream);
  MeanHold& op = given.op;
  const Array& first = given.first();
  const Array wanted(mean, "mean", Access::read, stream);
  given.per_channel(wanted, {op.extent[0]});
  const Scratch scratch(partials, stream, first, op.volumes * op.extent[0] * mean_hold_scratch);
  require_own_memory({or_null(given.arrays[M::Net]), or_null(given.arrays[M::Uncond]),
                      or_null(given.tilt), scratch.array()},
                     {&first, &wanted});
  if (first.size() == 0)
    return;
  op.wanted = wanted.data<const float>();
  op.given = flag(given_tilt, "given");
  double* const sums = scratch.data();
  run_on_device(
      first, stream, [&] { mean_hold_cpu(op, threads); },
      [&](std::uintptr_t s) { mean_hold_cuda(op, sums, s); });
}

void mean_hold_sums(Object x, Object net, Object net_uncond, Object tilt, Object out, Object p,
                    Object q, Object guidance, Object part, Object every, Object stream_in,
                    Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Given given({&x, &net, &net_uncond}, tilt, p, q, guidance, part, every, Access::read,
                    Access::read, stream);
  const MeanHold& op = given.op;
  const Array& first = given.first();
  const Array sums(out, "out", Access::write, stream);
  sums.require_ndim(5);
  const Index blocks = sums.extent(3);
  sums.require_shape({op.volumes, op.extent[0], op.counted(), blocks, 2});
  sums.require_same_device(first);
  sums.require_contiguous();
  sums.require_dtype({DType::f64});
  require_own_memory({&sums}, {&first, or_null(given.arrays[M::Net]),
                               or_null(given.arrays[M::Uncond]), or_null(given.tilt)});
  if (first.size() == 0 || blocks == 0)
    return;
  double* const to = sums.data<double>();
  run_on_device(
      first, stream, [&] { mean_hold_sums_cpu(op, to, blocks, threads); },
      [&](std::uintptr_t s) { mean_hold_sums_cuda(op, to, blocks, s); });
}

} // namespace

static void bind_hold_mean(py::module_& m) {
  m.attr("MEAN_HOLD_PARTIALS") = mean_hold_scratch;
  m.attr("MEAN_HOLD_STEPS") = M::steps;
  m.attr("MEAN_HOLD_GRID") = M::grid;
  m.def("hold_mean", &hold_mean, py::arg("x"), py::arg("net"), py::arg("net_uncond"),
        py::arg("mean"), py::arg("tilt"), py::arg("p"), py::arg("q"), py::arg("guidance"),
        py::arg("part"), py::arg("every"), py::arg("partials"), py::arg("stream"),
        py::arg("threads"), py::arg("given") = false);
  m.def("mean_hold_sums", &mean_hold_sums, py::arg("x"), py::arg("net"), py::arg("net_uncond"),
        py::arg("tilt"), py::arg("out"), py::arg("p"), py::arg("q"), py::arg("guidance"),
        py::arg("part"), py::arg("every"), py::arg("stream"), py::arg("threads"));
}
M3D_BINDING(bind_hold_mean);

} // namespace micro3d
