// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// Bindings check memory: dtypes, shapes, layouts, devices, overlap, labels that index a table, and
// the ranges of numbers that sizes are computed from. What arguments mean is checked by the
// functions of micro3d_fast.ops.
//
// One file per operator: bindings/<op>.cpp defines bind_<op>, whose arguments are all Python
// objects that Array and the functions of bindings/scalars.hpp take apart, so that every refusal is
// one sentence with the argument's name. It registers itself with
//
//   static void bind_<op>(py::module_& m) { m.def("<op>", &<op>, py::arg("x"), py::kw_only(), ...);
//   } M3D_BINDING(bind_<op>);
//
// so that a new operator changes no other file here; module.cpp calls all of them.
#include "bindings/array.hpp"   // for Array
#include "bindings/scalars.hpp" // for integer, number, flag
#include "core/device.hpp"      // for DeviceGuard
#include "core/half.hpp"        // for Element

#include <pybind11/pybind11.h>

#include <utility> // for forward
#include <vector>  // for vector

namespace micro3d {

namespace py = pybind11;

/// The array, on the device of `like`; empty for None.
inline std::optional<Array> optional_array(const py::object& object, const char* name,
                                           Access access, Stream stream, const Array& like) {
  std::optional<Array> array;
  if (!object.is_none()) {
    array.emplace(object, name, access, stream);
    array->require_same_device(like);
  }
  return array;
}

/// A mask of labels: uint8 in the same shape; empty for None.
inline std::optional<Array> optional_mask(const py::object& object, Stream stream,
                                          const Array& labels) {
  std::optional<Array> mask = optional_array(object, "mask", Access::read, stream, labels);
  if (mask) {
    mask->require_shape(labels.shape());
    mask->require_dtype({DType::u8});
  }
  return mask;
}

/// An array like `field` that is contiguous and does not share its memory; empty for None.
inline std::optional<Array> optional_field(const py::object& object, const char* name,
                                           Stream stream, const Array& field) {
  std::optional<Array> array = optional_array(object, name, Access::read, stream, field);
  if (array) {
    array->require_shape(field.shape());
    array->require_dtype({field.dtype()});
    array->require_no_overlap(field);
  }
  return array;
}

/// The element type of an array of float32, bfloat16 or float16.
inline Element element_of(const Array& a) {
  return a.dtype() == DType::bf16  ? Element::bf16
         : a.dtype() == DType::f16 ? Element::f16
                                   : Element::f32;
}

template <class T> T* data_or_null(const std::optional<Array>& array) {
  return array ? array->data<T>() : nullptr;
}
inline const Array* or_null(const std::optional<Array>& array) { return array ? &*array : nullptr; }

/// The scratch memory of sums: `needed` float64 on CUDA, nothing on the CPU.
class Scratch {
 public:
  Scratch(const py::object& partials, Stream stream, const Array& field, Index needed)
      : array_(optional_array(partials, "partials", Access::write, stream, field)) {
    if (array_) {
      array_->require_contiguous();
      array_->require_dtype({DType::f64});
    }
    if (field.is_cuda() && (array_ ? array_->size() : 0) < needed)
      throw py::value_error("`partials` must hold " + std::to_string(needed) + " float64, got " +
                            (array_ ? shape_text(array_->shape()) : std::string("None")));
  }
  double* data() const { return data_or_null<double>(array_); }
  const Array* array() const { return or_null(array_); }

 private:
  std::optional<Array> array_;
};

/// "input" or "output": whose product with the result a `dot` takes.
inline std::string dot_kind_of(Object value) {
  const std::string kind = text(value, "dot_kind");
  if (kind != "input" && kind != "output")
    throw py::value_error("`dot_kind` must be 'input' or 'output', got '" + kind.substr(0, 60) +
                          "'");
  return kind;
}

/// Calls cpu() or cuda(stream), by the device of `field`, with the GIL released.
template <class Cpu, class Cuda>
void run_on_device(const Array& field, Stream stream, Cpu&& cpu, Cuda&& cuda) {
  const py::gil_scoped_release no_gil; // from here on no Python object is touched
  if (field.is_cuda()) {
    const DeviceGuard guard(field.device_id());
    std::forward<Cuda>(cuda)(stream.value_or(1));
  } else {
    std::forward<Cpu>(cpu)();
  }
}

/// Calls call(T{}) with T float or double, the element type (or that of the parts) of `field`.
template <class Call> void with_real_type(const Array& field, const Call& call) {
  if (field.dtype() == DType::f32 || field.dtype() == DType::c64)
    call(float{});
  else
    call(double{});
}

using BindFunction = void (*)(py::module_&);

inline std::vector<BindFunction>& binding_list() {
  static std::vector<BindFunction> list; // filled while the library loads, read once at import
  return list;
}

struct BindingEntry {
  explicit BindingEntry(BindFunction function) { binding_list().push_back(function); }
};

} // namespace micro3d

#define M3D_BINDING(function) static const ::micro3d::BindingEntry function##_entry(function)
