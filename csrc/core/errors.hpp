// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include <stdexcept> // for runtime_error
#include <string>    // for string

namespace micro3d {

/// A CUDA call failed: the call, CUDA's own words, file and line.
class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// CUDA was asked for and is not there: not compiled in, or no usable device.
class CudaUnavailable : public CudaError {
 public:
  using CudaError::CudaError;
};

/// What every entry of a no_cuda.cpp does.
[[noreturn]] inline void absent(const char* entry) {
  throw CudaUnavailable(std::string("`") + entry +
                        "` was asked to run on CUDA, but this build of micro3d-fast has none "
                        "(build with MICRO3D_CUDA=ON)");
}

} // namespace micro3d
