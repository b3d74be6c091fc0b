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
#include "ops/spectrum.hpp"

namespace micro3d {

void reverse_step_cuda(const ReverseStep&, std::uintptr_t) { absent("reverse_step"); }
void run_lengths_cuda(const RunLengths&, std::uintptr_t) { absent("run_lengths"); }
void pack_bits_cuda(const PackBits&, std::uintptr_t) { absent("pack_bits"); }
void bit_pairs_cuda(const BitPairs&, std::uintptr_t) { absent("bit_pairs"); }
void bit_segments_cuda(const BitSegments&, std::uintptr_t) { absent("bit_segments"); }

// statistics
template <class T>
void load_phase_cuda(Index, const LoadPhase<T>&, std::uintptr_t) {
  absent("load_phase");
}
template <class T>
void multiply_spectra_cuda(Index, const MultiplySpectra<T>&, std::uintptr_t) {
  absent("multiply_spectra");
}
template <class T>
void store_counts_cuda(Index, const StoreCounts<T>&, std::uintptr_t) {
  absent("store_counts");
}
template <class T>
void sum_radially_cuda(Index, const SumRadially<T>&, std::uintptr_t) {
  absent("sum_radially");
}
template void load_phase_cuda(Index, const LoadPhase<float>&, std::uintptr_t);
template void load_phase_cuda(Index, const LoadPhase<double>&, std::uintptr_t);
template void multiply_spectra_cuda(Index, const MultiplySpectra<float>&, std::uintptr_t);
template void multiply_spectra_cuda(Index, const MultiplySpectra<double>&, std::uintptr_t);
template void store_counts_cuda(Index, const StoreCounts<float>&, std::uintptr_t);
template void store_counts_cuda(Index, const StoreCounts<double>&, std::uintptr_t);
template void sum_radially_cuda(Index, const SumRadially<float>&, std::uintptr_t);
template void sum_radially_cuda(Index, const SumRadially<double>&, std::uintptr_t);
template <class S>
void phase_strain_cuda(const PhaseStrain<S>&, double*, std::uintptr_t) { absent("phase_strain"); }
template void phase_strain_cuda(const PhaseStrain<float>&, double*, std::uintptr_t);
template void phase_strain_cuda(const PhaseStrain<double>&, double*, std::uintptr_t);

} // namespace micro3d
