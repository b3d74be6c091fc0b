// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// One file an operator: bindings/<op>.cpp defines bind_<op> and registers itself with
//
//   static void bind_<op>(py::module_& m) { m.def("<op>", &<op>, py::arg("x"), py::kw_only(), ...);
//   } M3D_BINDING(bind_<op>);
//
// so that adding an operator touches no file here. module.cpp calls all of them.
#include "bindings/array.hpp" // for Array

#include <pybind11/pybind11.h>
#include <pybind11/stl.h> // for optional, array, tuple

#include <vector> // for vector

namespace micro3d {

namespace py = pybind11;

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
