// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
// The CUDA entry points of a build without CUDA, linked instead of the ops/*.cu files.
// A new operator <op> adds its header and one line:
//
//   void <op>_cuda(arguments as declared in <op>.hpp, names left out) { absent("<op>"); }
#include "core/errors.hpp" // for absent
#include "ops/bit_correlation.hpp"
#include "ops/cg.hpp"
#include "ops/channels_last.hpp"
#include "ops/components.hpp"
#include "ops/coupling.hpp"
#include "ops/green.hpp"
#include "ops/hex8.hpp"
#include "ops/mean_hold.hpp"
#include "ops/multigrid.hpp"
#include "ops/phase_strain.hpp"
#include "ops/reverse_step.hpp"
#include "ops/run_lengths.hpp"
#include "ops/seven_point.hpp"
#include "ops/spectrum.hpp"

namespace micro3d {

void reverse_step_cuda(const ReverseStep&, std::uintptr_t) { absent("reverse_step"); }
void group_norm_cuda(const GroupNorm&, float*, std::uintptr_t) { absent("group_norm"); }
void channel_affine_cuda(const ChannelAffine&, std::uintptr_t) { absent("channel_affine"); }
void group_norm_gradient_cuda(const GroupNormGradient&, float*, std::uintptr_t) {
  absent("group_norm_gradient");
}
void unit_rows_cuda(const UnitRows&, std::uintptr_t) { absent("unit_rows"); }
void mean_hold_cuda(const MeanHold&, double*, std::uintptr_t) { absent("hold_mean"); }
void mean_hold_sums_cuda(const MeanHold&, double*, Index, std::uintptr_t) {
  absent("mean_hold_sums");
}
void coupling_cuda(const Coupling&, std::uintptr_t) { absent("couple"); }
void run_lengths_cuda(const RunLengths&, std::uintptr_t) { absent("run_lengths"); }
void components_cuda(const Components&, std::uintptr_t) { absent("connected_components"); }
void pack_bits_cuda(const PackBits&, std::uintptr_t) { absent("pack_bits"); }
void bit_pairs_cuda(const BitPairs&, std::uintptr_t) { absent("bit_pairs"); }
void bit_segments_cuda(const BitSegments&, std::uintptr_t) { absent("bit_segments"); }

// homogenization
template <class S, class T> void hex8_cuda(const Hex8<S, T>&, int, double*, std::uintptr_t) {
  absent("hex8");
}
template void hex8_cuda(const Hex8<float, float>&, int, double*, std::uintptr_t);
template void hex8_cuda(const Hex8<float, double>&, int, double*, std::uintptr_t);
template void hex8_cuda(const Hex8<double, double>&, int, double*, std::uintptr_t);
template <class T, int N>
void green_cuda(Index, const Green<T, N>&, double*, double*, std::uintptr_t) {
  absent("green");
}
template void green_cuda(Index, const Green<float, 1>&, double*, double*, std::uintptr_t);
template void green_cuda(Index, const Green<double, 1>&, double*, double*, std::uintptr_t);
template void green_cuda(Index, const Green<float, 3>&, double*, double*, std::uintptr_t);
template void green_cuda(Index, const Green<double, 3>&, double*, double*, std::uintptr_t);
template <class T>
void separable_inverse_cuda(const SeparableInverse<T>&, double*, double*, std::uintptr_t) {
  absent("separable_inverse");
}
template void separable_inverse_cuda(const SeparableInverse<float>&, double*, double*,
                                     std::uintptr_t);
template void separable_inverse_cuda(const SeparableInverse<double>&, double*, double*,
                                     std::uintptr_t);
template <class S, class T>
void seven_point_cuda(const SevenPoint<S, T>&, double*, std::uintptr_t) {
  absent("seven_point");
}
template void seven_point_cuda(const SevenPoint<float, float>&, double*, std::uintptr_t);
template void seven_point_cuda(const SevenPoint<float, double>&, double*, std::uintptr_t);
template void seven_point_cuda(const SevenPoint<double, double>&, double*, std::uintptr_t);
template <class T>
void cg_update_cuda(Index, const CgUpdate<T>&, double*, double*, std::uintptr_t) {
  absent("cg_update");
}
template void cg_update_cuda(Index, const CgUpdate<float>&, double*, double*, std::uintptr_t);
template void cg_update_cuda(Index, const CgUpdate<double>&, double*, double*, std::uintptr_t);
template <class T> void cg_direction_cuda(Index, const CgDirection<T>&, std::uintptr_t) {
  absent("cg_direction");
}
template void cg_direction_cuda(Index, const CgDirection<float>&, std::uintptr_t);
template void cg_direction_cuda(Index, const CgDirection<double>&, std::uintptr_t);
void two_sum_cuda(Index, const TwoSum&, std::uintptr_t) { absent("two_sum"); }
template <class T> void dot_cuda(Index, const Dot<T>&, double*, double*, std::uintptr_t) {
  absent("dot");
}
template void dot_cuda(Index, const Dot<float>&, double*, double*, std::uintptr_t);
template void dot_cuda(Index, const Dot<double>&, double*, double*, std::uintptr_t);

// statistics
template <class T> void load_phase_cuda(Index, const LoadPhase<T>&, std::uintptr_t) {
  absent("load_phase");
}
template <class T> void multiply_spectra_cuda(Index, const MultiplySpectra<T>&, std::uintptr_t) {
  absent("multiply_spectra");
}
template <class T> void store_counts_cuda(Index, const StoreCounts<T>&, std::uintptr_t) {
  absent("store_counts");
}
template <class T> void sum_radially_cuda(Index, const SumRadially<T>&, std::uintptr_t) {
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
template <class S> void phase_strain_cuda(const PhaseStrain<S>&, double*, std::uintptr_t) {
  absent("phase_strain");
}
template void phase_strain_cuda(const PhaseStrain<float>&, double*, std::uintptr_t);
template void phase_strain_cuda(const PhaseStrain<double>&, double*, std::uintptr_t);
void multigrid_cycle_cuda(const PlatesHierarchy&, float*, const float*, int, double*, double*,
                          std::uintptr_t) {
  absent("multigrid_cycle");
}

} // namespace micro3d
