// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include <stdexcept> // for runtime_error
#include <string>    // for string

namespace micro3d {

/// A CUDA call failed; the message has the call, CUDA's error text, file and line.
class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// CUDA was requested but is unavailable: not compiled in, or no usable device.
class CudaUnavailable : public CudaError {
 public:
  using CudaError::CudaError;
};

/// Throws for an entry point that this build does not have.
[[noreturn]] inline void absent(const char* entry) {
  throw CudaUnavailable(std::string("`") + entry +
                        "` cannot run on CUDA: this build of micro3d-fast does not include it "
                        "(build with MICRO3D_CUDA=ON)");
}

} // namespace micro3d
