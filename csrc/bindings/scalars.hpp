// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// Python numbers as C++ numbers within a range, or one sentence with the argument's name.
#include "core/config.hpp"  // for Index
#include "core/threads.hpp" // for most_threads

#include <pybind11/pybind11.h>

#include <array>    // for array
#include <cstdint>  // for uintptr_t
#include <optional> // for optional
#include <string>   // for string
#include <vector>   // for vector

namespace micro3d {

namespace py = pybind11;
using Object = const py::object&;

/// The largest extent that an argument may give; the product of two of them fits an Index.
constexpr Index most_extent = 0x7fffffff;

/// Products and sums of sizes, not negative; everything from `too_large` on is `too_large`.
constexpr Index too_large = Index(1) << 60;
constexpr Index product(Index a, Index b) {
  return a == 0 || b == 0 ? 0 : a >= too_large / b ? too_large : a * b;
}
constexpr Index sum(Index a, Index b) { return a + b < too_large ? a + b : too_large; }

/// An integer low ... high; bool is refused.
Index integer(Object value, const char* name, Index low, Index high);
/// The number of CPU threads, 0 for all.
inline int thread_count(Object value) {
  return static_cast<int>(integer(value, "threads", 0, most_threads));
}
/// 0 ... 2^64 - 1
std::uint64_t unsigned_integer(Object value, const char* name);
/// A float; infinities and NaN pass.
double number(Object value, const char* name);
bool flag(Object value, const char* name);
std::string text(Object value, const char* name);

/// The CUDA stream that the caller works on; empty for arrays on the CPU.
using Stream = std::optional<std::uintptr_t>;
Stream stream_of(Object value);

/// The items of a sequence of `size`, or of any length if that is negative.
std::vector<py::object> items(Object value, const char* name, int size);

inline std::string item_name(const char* name, std::size_t i) {
  return std::string(name) + "[" + std::to_string(i) + "]";
}

template <std::size_t N>
std::array<Index, N> integers(Object value, const char* name, Index low, Index high) {
  std::array<Index, N> out;
  const auto all = items(value, name, N);
  for (std::size_t i = 0; i < N; ++i)
    out[i] = integer(all[i], item_name(name, i).c_str(), low, high);
  return out;
}
template <std::size_t N> std::array<double, N> numbers(Object value, const char* name) {
  std::array<double, N> out;
  const auto all = items(value, name, N);
  for (std::size_t i = 0; i < N; ++i)
    out[i] = number(all[i], item_name(name, i).c_str());
  return out;
}
template <std::size_t N> std::array<bool, N> flags(Object value, const char* name) {
  std::array<bool, N> out;
  const auto all = items(value, name, N);
  for (std::size_t i = 0; i < N; ++i)
    out[i] = flag(all[i], item_name(name, i).c_str());
  return out;
}

} // namespace micro3d
