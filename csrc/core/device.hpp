// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include <string> // for string

namespace micro3d {

/// Usable CUDA devices; 0 without CUDA, a driver or a device. Never throws.
int cuda_device_count();

/// One sentence: the usable devices, or why there are none.
std::string cuda_status();

/// Makes `device` current for its lifetime and restores the caller's device.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int previous_, device_;
};

} // namespace micro3d
