// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
// The CUDA entry points of a build without CUDA, linked instead of the ops/*.cu files.
// A new operator <op> adds its header and one line:
//
//   void <op>_cuda(arguments as declared in <op>.hpp, names left out) { absent("<op>"); }
#include "core/errors.hpp" // for absent
#include "ops/bit_correlation.hpp"
#include "ops/reverse_step.hpp"
#include "ops/run_lengths.hpp"

namespace micro3d {

void reverse_step_cuda(const ReverseStep&, std::uintptr_t) { absent("reverse_step"); }
void run_lengths_cuda(const RunLengths&, std::uintptr_t) { absent("run_lengths"); }
void pack_bits_cuda(const PackBits&, std::uintptr_t) { absent("pack_bits"); }
void bit_pairs_cuda(const BitPairs&, std::uintptr_t) { absent("bit_pairs"); }
void bit_segments_cuda(const BitSegments&, std::uintptr_t) { absent("bit_segments"); }

} // namespace micro3d
