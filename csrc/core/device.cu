// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "core/cuda_check.hpp" // for M3D_CUDA_CHECK
#include "core/device.hpp"

namespace micro3d {

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess)
    return count;
  (void)cudaGetLastError(); // clear it, or the next check reports this error
  return 0;
}

std::string cuda_status() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  int runtime = 0;
  (void)cudaRuntimeGetVersion(&runtime);
  const std::string built = "CUDA " + std::to_string(runtime / 1000) + "." +
                            std::to_string(runtime % 1000 / 10) + " is built in";
  if (status != cudaSuccess || count == 0) {
    (void)cudaGetLastError();
    return built + ", but there is no device to use: " +
           (status == cudaSuccess ? "none found" : cudaGetErrorString(status)) + ".";
  }
  std::string text =
      built + " and finds " + std::to_string(count) + (count == 1 ? " device: " : " devices: ");
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) {
      (void)cudaGetLastError();
      continue;
    }
    if (i > 0)
      text += ", ";
    text += properties.name;
    text += " (sm_" + std::to_string(properties.major) + std::to_string(properties.minor) + ")";
  }
  return text + ".";
}

DeviceGuard::DeviceGuard(int device) : previous_(device), device_(device) {
  M3D_CUDA_CHECK(cudaGetDevice(&previous_));
  if (previous_ != device)
    M3D_CUDA_CHECK(cudaSetDevice(device));
}

DeviceGuard::~DeviceGuard() {
  if (previous_ != device_)
    (void)cudaSetDevice(previous_);
}

} // namespace micro3d
