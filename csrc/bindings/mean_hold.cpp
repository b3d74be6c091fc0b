// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/mean_hold.hpp"

#include "bindings/prediction.hpp" // for GivenPrediction

namespace micro3d {

namespace {

using M = MeanHold;

/// The arguments that both operators share.
struct Given {
  MeanHold op{};
  GivenPrediction prediction;
  Array tilt;

  Given(const std::array<const py::object*, M::roles>& given, Object tilt_in, Object p, Object q,
        Object guidance, Object part_in, Object every, Access of_outputs, Access of_tilt,
        const Stream& stream)
      : prediction(op, given, p, q, guidance, of_outputs, stream),
        tilt(tilt_in, "tilt", of_tilt, stream) {
    const auto part = integers<3>(part_in, "part", 1, most_extent);
    op.every = integer(every, "every", 1, most_extent);
    for (int axis = 0; axis < 3; ++axis) {
      op.part[axis] = part[std::size_t(axis)];
      if (prediction.x().size() > 0 && op.part[axis] > op.extent[axis + 1])
        throw py::value_error("`part` must lie within the slices, got " +
                              shape_text({part[0], part[1], part[2]}) + " for shape " +
                              shape_text(prediction.x().shape()));
    }
    prediction.require_floats(tilt, {op.volumes, op.extent[0]});
    op.tilt = tilt.data<float>();
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
  const Array& first = given.prediction.x();
  const Array wanted(mean, "mean", Access::read, stream);
  given.prediction.require_floats(wanted, {op.extent[0]});
  const Scratch scratch(partials, stream, first, op.volumes * op.extent[0] * mean_hold_scratch);
  require_own_memory(
      {given.prediction.net(), given.prediction.uncond(), &given.tilt, scratch.array()},
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
  const Array& first = given.prediction.x();
  const Array sums(out, "out", Access::write, stream);
  sums.require_ndim(5);
  const Index blocks = sums.extent(3);
  sums.require_shape({op.volumes, op.extent[0], op.counted(), blocks, 2});
  sums.require_same_device(first);
  sums.require_contiguous();
  sums.require_dtype({DType::f64});
  require_own_memory({&sums},
                     {&first, given.prediction.net(), given.prediction.uncond(), &given.tilt});
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
