// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
// The CUDA entry points of a build without CUDA, linked instead of the ops/*.cu files.
// A new operator <op> adds its header and one line:
//
//   void <op>_cuda(arguments as declared in <op>.hpp, names left out) { absent("<op>"); }
#include "core/errors.hpp" // for absent
#include "ops/run_lengths.hpp"

namespace micro3d {

void run_lengths_cuda(const RunLengths&, std::uintptr_t) { absent("run_lengths"); }

} // namespace micro3d
