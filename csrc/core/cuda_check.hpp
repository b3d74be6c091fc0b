// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// Only .cu files include this.
#include "core/errors.hpp" // for CudaError

#include <cuda_runtime.h> // for cudaError_t
#include <string>         // for string

namespace micro3d {

inline void cuda_check(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess)
    return;
  (void)cudaGetLastError(); // else the next check reports this error again
  throw CudaError(std::string(call) + " failed: " + cudaGetErrorString(status) + " (" + file + ":" +
                  std::to_string(line) + ")");
}

} // namespace micro3d

#define M3D_CUDA_CHECK(call) ::micro3d::cuda_check((call), #call, __FILE__, __LINE__)
