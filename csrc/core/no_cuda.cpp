// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
// core/device.cu for a build without CUDA. The operators' stubs are in ops/no_cuda.cpp.
#include "core/device.hpp"
#include "core/errors.hpp" // for absent

namespace micro3d {

int cuda_device_count() { return 0; }

std::string cuda_status() {
  return "CUDA is not built in: this build of micro3d-fast runs on the CPU only "
         "(build with MICRO3D_CUDA=ON for a GPU).";
}

DeviceGuard::DeviceGuard(int device) : previous_(device), device_(device) { absent("DeviceGuard"); }
DeviceGuard::~DeviceGuard() = default;

} // namespace micro3d
