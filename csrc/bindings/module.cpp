// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "bindings/bindings.hpp"
#include "core/device.hpp"  // for cuda_status
#include "core/errors.hpp"  // for CudaError
#include "core/threads.hpp" // for thread_number

#include <exception> // for exception_ptr

namespace micro3d {

/// C++ exceptions become the classes of micro3d_fast/_errors.py.
static void translate(std::exception_ptr pointer) {
  const auto raise = [](const char* type, const char* what) {
    const py::object cls = py::module_::import("micro3d_fast._errors").attr(type);
    PyErr_SetString(cls.ptr(), what);
  };
  try {
    if (pointer)
      std::rethrow_exception(pointer);
  } catch (const CudaUnavailable& error) {
    raise("CudaUnavailableError", error.what());
  } catch (const CudaError& error) {
    raise("CudaError", error.what());
  }
}

} // namespace micro3d

PYBIND11_MODULE(_core, m) {
  using namespace micro3d;
  m.doc() = "The compiled core of micro3d_fast; call it through micro3d_fast.ops.";
  py::register_local_exception_translator(&translate);
  m.attr("__version__") = MICRO3D_VERSION;
  m.attr("BUILT_WITH_CUDA") = py::bool_(MICRO3D_BUILT_WITH_CUDA != 0);
  m.def("cuda_device_count", &cuda_device_count);
  m.def("cuda_status", &cuda_status);
  m.attr("MAX_THREADS") = most_threads;
  m.def("max_threads", [] { return thread_number(0); });
  for (const BindFunction bind : binding_list())
    bind(m);
}
