// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "bindings/scalars.hpp"

namespace micro3d {

namespace {

/// "`name` must be <wanted>, got <value>"
std::string refusal(Object value, const char* name, const std::string& wanted) {
  const py::str whole = py::repr(value);
  const bool is_long = PyUnicode_GetLength(whole.ptr()) > 60;
  PyObject* const part = PyUnicode_Substring(whole.ptr(), 0, is_long ? 57 : 60);
  if (part == nullptr)
    throw py::error_already_set();
  std::string shown = py::cast<std::string>(py::reinterpret_steal<py::object>(part));
  if (is_long)
    shown += "...";
  for (char& c : shown)
    c = c == '\n' ? ' ' : c;
  return "`" + std::string(name) + "` must be " + wanted + ", got " + shown;
}

/// The integer that an object stands for (operator.index); nothing for bool and other kinds.
py::object index_of(Object value) {
  if (PyBool_Check(value.ptr()) || !PyIndex_Check(value.ptr()))
    return py::object();
  PyObject* const found = PyNumber_Index(value.ptr());
  if (found == nullptr)
    PyErr_Clear(); // an array of several numbers
  return py::reinterpret_steal<py::object>(found);
}

} // namespace

Index integer(Object value, const char* name, Index low, Index high) {
  const std::string wanted = "an integer " + std::to_string(low) + " ... " + std::to_string(high);
  const py::object found = index_of(value);
  if (!found)
    throw py::type_error(refusal(value, name, wanted));
  int overflow = 0;
  const long long n = PyLong_AsLongLongAndOverflow(found.ptr(), &overflow);
  if (overflow != 0 || n < low || n > high)
    throw py::value_error(refusal(value, name, wanted));
  return static_cast<Index>(n);
}

std::uint64_t unsigned_integer(Object value, const char* name) {
  const std::string wanted = "an integer 0 ... 2^64 - 1";
  const py::object found = index_of(value);
  if (!found)
    throw py::type_error(refusal(value, name, wanted));
  const unsigned long long n = PyLong_AsUnsignedLongLong(found.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw py::value_error(refusal(value, name, wanted));
  }
  return n;
}

double number(Object value, const char* name) {
  const bool given = !PyBool_Check(value.ptr()) && PyNumber_Check(value.ptr()) != 0;
  const double x = given ? PyFloat_AsDouble(value.ptr()) : 0.0;
  if (!given || PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw py::type_error(refusal(value, name, "a number"));
  }
  return x;
}

bool flag(Object value, const char* name) {
  const py::object found = py::hasattr(value, "item") ? value.attr("item")() : value;
  if (!PyBool_Check(found.ptr()))
    throw py::type_error(refusal(value, name, "True or False"));
  return found.ptr() == Py_True;
}

std::string text(Object value, const char* name) {
  if (!PyUnicode_Check(value.ptr()))
    throw py::type_error(refusal(value, name, "a string"));
  return py::cast<std::string>(value);
}

Stream stream_of(Object value) {
  if (value.is_none())
    return std::nullopt;
  return static_cast<std::uintptr_t>(unsigned_integer(value, "stream"));
}

std::vector<py::object> items(Object value, const char* name, int size) {
  const std::string wanted =
      size < 0 ? "a sequence" : "a sequence of " + std::to_string(size) + " values";
  if (!PySequence_Check(value.ptr()) || PyUnicode_Check(value.ptr()))
    throw py::type_error(refusal(value, name, wanted));
  std::vector<py::object> out;
  const Py_ssize_t n = PySequence_Size(value.ptr());
  if (n < 0) {
    PyErr_Clear();
    throw py::type_error(refusal(value, name, wanted));
  }
  if (size >= 0 && n != size)
    throw py::value_error(refusal(value, name, wanted));
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* const item = PySequence_GetItem(value.ptr(), i);
    if (item == nullptr)
      throw py::error_already_set();
    out.push_back(py::reinterpret_steal<py::object>(item));
  }
  return out;
}

} // namespace micro3d
