// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
// Functions of csrc/core that no operator exposes, as attributes of the emulated _core: for
// tests/emulated_cuda/test_units.py.
#include "bindings/bindings.hpp"
#include "core/divisor.hpp" // for divisor
#include "core/random.hpp"  // for philox, box_muller

#include <pybind11/stl.h> // for array

#include <array> // for array

namespace micro3d {

static std::array<Index, 2> divide(Index n, Index by) {
  if (by < 1)
    throw py::value_error("`by` must be positive, got " + std::to_string(by));
  std::array<Index, 2> result{};
  divisor(by).split(n, result[0], result[1]);
  return result;
}

static std::array<std::uint32_t, 4> philox_words(std::array<std::uint32_t, 4> counter,
                                                 std::uint64_t key) {
  const PhiloxWords words = philox(counter[0], counter[1], counter[2], counter[3], key);
  return {words.w[0], words.w[1], words.w[2], words.w[3]};
}

static std::array<float, 2> box_muller_of(std::uint32_t v, std::uint32_t w) {
  float first = 0, second = 0;
  box_muller(v, w, first, second);
  return {first, second};
}

static void bind_units(py::module_& m) {
  m.def("divide", &divide, py::arg("n"), py::arg("by"));
  m.def("philox_words", &philox_words, py::arg("counter"), py::arg("key"));
  m.def("box_muller", &box_muller_of, py::arg("v"), py::arg("w"));
}
M3D_BINDING(bind_units);

} // namespace micro3d
