// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef> // for size_t
#include <cstdint> // for uintptr_t
#include <map>     // for map
#include <mutex>   // for mutex
#include <set>     // for set

namespace emulated_cuda {

/// Memory that arrays of the tests say to have on a device.
class Allocations {
 public:
  struct Range {
    std::uintptr_t begin = 0, end = 0;
    int device = -1; // none
  };

  void add(int device, const void* p, std::size_t bytes) {
    const auto begin = reinterpret_cast<std::uintptr_t>(p);
    const std::lock_guard<std::mutex> lock(lock_);
    leaving_.erase(begin);
    ranges_[begin] = {begin, begin + bytes, device};
  }
  void remove(const void* p) {
    const std::lock_guard<std::mutex> lock(lock_);
    if (graphs_ > 0)
      leaving_.insert(reinterpret_cast<std::uintptr_t>(p));
    else
      ranges_.erase(reinterpret_cast<std::uintptr_t>(p));
  }
  /// While there are graphs no memory goes: theirs is kept in pools of their own.
  void graphs(int more) {
    const std::lock_guard<std::mutex> lock(lock_);
    graphs_ += more;
    if (graphs_ > 0)
      return;
    for (const std::uintptr_t begin : leaving_)
      ranges_.erase(begin);
    leaving_.clear();
  }
  Range find(std::uintptr_t address) {
    const std::lock_guard<std::mutex> lock(lock_);
    auto after = ranges_.upper_bound(address);
    if (after == ranges_.begin() || (--after)->second.end <= address)
      return {};
    return after->second;
  }
  int device_of(std::uintptr_t address) { return find(address).device; }

 private:
  std::mutex lock_;
  std::map<std::uintptr_t, Range> ranges_;
  std::set<std::uintptr_t> leaving_;
  int graphs_ = 0;
};
extern Allocations allocations;

} // namespace emulated_cuda
