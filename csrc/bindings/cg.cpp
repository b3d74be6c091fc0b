// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/cg.hpp"

#include "bindings/bindings.hpp"
#include "core/reduce.hpp" // for reduce_partials

namespace micro3d {

namespace {

/// Fields [loads, ...] of one shape, dtype and device, contiguous.
void require_fields(std::initializer_list<const Array*> fields) {
  const Array& one = **fields.begin();
  one.require_dtype({DType::f32, DType::f64});
  if (one.ndim() < 1)
    throw py::value_error("`x` must have a first axis of loads");
  for (const Array* field : fields) {
    field->require_shape(one.shape());
    field->require_dtype({one.dtype()});
    field->require_contiguous();
    field->require_same_device(one);
  }
}

void require_scalars(std::initializer_list<const Array*> scalars, const Array& field) {
  for (const Array* scalar : scalars) {
    scalar->require_shape({field.extent(0)});
    scalar->require_dtype({DType::f64});
    scalar->require_contiguous();
    scalar->require_same_device(field);
  }
}

Index per_load(const Array& field) { return field.extent(0) ? field.size() / field.extent(0) : 0; }

Index partials_of(const Array& field) { return field.extent(0) * reduce_partials; }

} // namespace

static void cg_update(Object x, Object r, Object p, Object q, Object rz, Object pq, Object rr,
                      Object partials, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Array ax(x, "x", Access::write, stream), ar(r, "r", Access::write, stream);
  const Array ap(p, "p", Access::read, stream), aq(q, "q", Access::read, stream);
  const Array arz(rz, "rz", Access::read, stream), apq(pq, "pq", Access::read, stream);
  const Array arr(rr, "rr", Access::write, stream);
  require_fields({&ax, &ar, &ap, &aq});
  require_scalars({&arz, &apq, &arr}, ax);
  const Scratch scratch(partials, stream, ax, partials_of(ax));
  require_own_memory({&ax, &ar, &arr, scratch.array()}, {&ap, &aq, &arz, &apq});
  if (ax.size() == 0)
    return;
  with_real_type(ax, [&](auto t) {
    using T = decltype(t);
    const CgUpdate<T> op{ax.data<T>(),
                         ar.data<T>(),
                         ap.data<const T>(),
                         aq.data<const T>(),
                         per_load(ax),
                         arz.data<const double>(),
                         apq.data<const double>()};
    double* const sum = arr.data<double>();
    const Index loads = ax.extent(0);
    double* const partial = scratch.data();
    run_on_device(
        ax, stream, [&] { cg_update_cpu(loads, op, sum, threads); },
        [&](std::uintptr_t s) { cg_update_cuda(loads, op, sum, partial, s); });
  });
}

static void cg_direction(Object p, Object z, Object mask, Object rz, Object rz_before,
                         Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Array ap(p, "p", Access::write, stream), az(z, "z", Access::read, stream);
  const Array arz(rz, "rz", Access::read, stream), ab(rz_before, "rz_before", Access::read, stream);
  const std::optional<Array> am = optional_array(mask, "mask", Access::read, stream, ap);
  require_fields({&ap, &az});
  require_scalars({&arz, &ab}, ap);
  if (am) {
    am->require_dtype({DType::u8});
    am->require_contiguous();
    if (am->size() != per_load(ap))
      throw py::value_error("`mask` must have one entry for each entry of a load of `p`");
  }
  require_own_memory({&ap}, {&az, or_null(am), &arz, &ab});
  if (ap.size() == 0)
    return;
  with_real_type(ap, [&](auto t) {
    using T = decltype(t);
    const CgDirection<T> op{ap.data<T>(),
                            az.data<const T>(),
                            am ? static_cast<const std::uint8_t*>(am->data_untyped()) : nullptr,
                            per_load(ap),
                            arz.data<const double>(),
                            ab.data<const double>()};
    const Index loads = ap.extent(0);
    run_on_device(
        ap, stream, [&] { cg_direction_cpu(loads, op, threads); },
        [&](std::uintptr_t s) { cg_direction_cuda(loads, op, s); });
  });
}

static void two_sum(Object x, Object low, Object stream_in, Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Array ax(x, "x", Access::write, stream), al(low, "low", Access::write, stream);
  require_fields({&ax, &al});
  require_own_memory({&ax, &al}, {});
  const TwoSum op{ax.data<float>(), al.data<float>()};
  const Index n = ax.size();
  if (n > 0)
    run_on_device(
        ax, stream, [&] { two_sum_cpu(n, op, threads); },
        [&](std::uintptr_t s) { two_sum_cuda(n, op, s); });
}

static void dot(Object x, Object y, Object sum, Object partials, Object stream_in,
                Object threads_in) {
  const Stream stream = stream_of(stream_in);
  const int threads = thread_count(threads_in);
  const Array ax(x, "x", Access::read, stream), ay(y, "y", Access::read, stream);
  const Array as(sum, "sum", Access::write, stream);
  require_fields({&ax, &ay});
  require_scalars({&as}, ax);
  const Scratch scratch(partials, stream, ax, partials_of(ax));
  require_own_memory({&as, scratch.array()}, {&ax, &ay});
  if (ax.size() == 0)
    return;
  with_real_type(ax, [&](auto t) {
    using T = decltype(t);
    const Dot<T> op{ax.data<const T>(), ay.data<const T>(), per_load(ax)};
    double* const to = as.data<double>();
    const Index loads = ax.extent(0);
    double* const partial = scratch.data();
    run_on_device(
        ax, stream, [&] { dot_cpu(loads, op, to, threads); },
        [&](std::uintptr_t s) { dot_cuda(loads, op, to, partial, s); });
  });
}

static void bind_cg(py::module_& m) {
  m.def("cg_update", &cg_update, py::arg("x"), py::arg("r"), py::arg("p"), py::arg("q"),
        py::arg("rz"), py::arg("pq"), py::arg("rr"), py::arg("partials"), py::arg("stream"),
        py::arg("threads"));
  m.def("cg_direction", &cg_direction, py::arg("p"), py::arg("z"), py::arg("mask"), py::arg("rz"),
        py::arg("rz_before"), py::arg("stream"), py::arg("threads"));
  m.def("two_sum", &two_sum, py::arg("x"), py::arg("low"), py::arg("stream"), py::arg("threads"));
  m.def("dot", &dot, py::arg("x"), py::arg("y"), py::arg("sum"), py::arg("partials"),
        py::arg("stream"), py::arg("threads"));
}
M3D_BINDING(bind_cg);

} // namespace micro3d
