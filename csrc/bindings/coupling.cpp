// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/coupling.hpp"

#include "bindings/prediction.hpp" // for GivenPrediction

namespace micro3d {

namespace {

void couple(Object x_in, Object net, Object net_uncond, Object x0_in, Object strength_in,
            Object periodic, Object earlier_in, Object prior_in, Object evidence, Object agreement,
            Object p, Object q, Object guidance, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  Coupling op{};
  const GivenPrediction given(op, {&x_in, &net, &net_uncond}, p, q, guidance, Access::write,
                              stream);
  const Array& x = given.x();
  const Array x0(x0_in, "x0", Access::write, stream);
  given.require_floats(x0, x.shape());
  const Array strength(strength_in, "strength", Access::read, stream);
  given.require_floats(strength, {op.extent[0], 2});
  const auto earlier = optional_array(earlier_in, "earlier", Access::write, stream, x);
  const auto prior = optional_array(prior_in, "prior", Access::read, stream, x);
  if (earlier) {
    given.require_floats(*earlier, x.shape());
    if (!prior)
      throw py::value_error("`prior` must be given with `earlier`, got None");
    given.require_floats(*prior, {op.volumes, op.extent[0]});
  }
  require_own_memory({given.net(), given.uncond(), &x0, or_null(earlier)},
                     {&x, &strength, or_null(prior)});
  const auto wraps = flags<2>(periodic, "periodic");
  for (std::size_t axis = 0; axis < 2; ++axis)
    op.periodic[axis] = wraps[axis];
  op.evidence = static_cast<float>(number(evidence, "evidence"));
  op.agreement = static_cast<float>(number(agreement, "agreement"));
  if (x.size() == 0)
    return;
  op.x0 = x0.data<float>();
  op.earlier = data_or_null<float>(earlier);
  op.strength = strength.data<const float>();
  op.prior = data_or_null<const float>(prior);
  run_on_device(
      x, stream, [&] { coupling_cpu(op, threads); },
      [&](std::uintptr_t s) { coupling_cuda(op, s); });
}

} // namespace

static void bind_couple(py::module_& m) {
  m.def("couple", &couple, py::arg("x"), py::arg("net"), py::arg("net_uncond"), py::arg("x0"),
        py::arg("strength"), py::arg("periodic"), py::arg("earlier"), py::arg("prior"),
        py::arg("evidence"), py::arg("agreement"), py::arg("p"), py::arg("q"), py::arg("guidance"),
        py::arg("stream"), py::arg("threads"));
}
M3D_BINDING(bind_couple);

} // namespace micro3d
