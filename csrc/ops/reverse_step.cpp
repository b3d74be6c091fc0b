// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/reverse_step.hpp"

#include "core/for_each.hpp" // for for_each

#include <algorithm> // for min
#include <vector>    // for vector

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define M3D_X86 1
#include <immintrin.h> // for _mm512_mul_epu32
#endif
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define M3D_SHUFFLE 1
#endif
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi" // Float8 is never passed between functions
#pragma GCC diagnostic ignored "-Wuninitialized" // in gcc's own avx512fintrin.h (PR 105593)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace micro3d {

namespace {

#ifdef M3D_SHUFFLE
typedef float Float8 __attribute__((vector_size(32), aligned(4), may_alias));
#endif

constexpr int lanes = 32;          // Philox blocks at a time
constexpr Index tile_voxels = 2048; // 8 kB a field: a tile of all of them stays in the caches
constexpr Index side_s = 32, side_r = tile_voxels / side_s; // with transposition
constexpr Index line_pitch = side_s + 16; // off the power of two
constexpr Index normal_plane = tile_voxels / 4 + 2 * 80 + lanes;

struct Rows {
  float* data; // rows along r
  Index pitch;
};

struct Scratch {
  alignas(64) float tile[5][tile_voxels + 272]; // the odd size keeps the fields off each other's sets
  alignas(64) float normal[4 * normal_plane];
  alignas(64) float line[8 * line_pitch];
  alignas(64) std::uint32_t counter[3][normal_plane] = {};
};

/// How the volume is cut into tiles.
struct Blocking {
  TileAxes axes;
  Index tile_s, tile_r;   // multiples of 4
  Index tiles_s, tiles_r; // how many

  static Index shift(int axis, const ReverseStep& op) {
    return axis == 3 ? op.origin[3] & 3u : 0; // tiles begin at global multiples of 4 along x
  }
  static Index count(int axis, Index side, const ReverseStep& op) {
    return (shift(axis, op) + op.extent[axis] + side - 1) / side;
  }
  void range(int axis, Index tile, Index side, const ReverseStep& op, Index& begin,
             Index& n) const {
    const Index s = shift(axis, op);
    begin = tile == 0 ? 0 : tile * side - s;
    const Index end = std::min((tile + 1) * side - s, op.extent[axis]);
    n = end - begin;
  }
};

Blocking blocking(const ReverseStep& op) {
  Blocking g{};
  g.axes = tile_axes(op);
  if (g.axes.any_columns || (op.noise != 0.0f && g.axes.r != 3)) {
    g.tile_s = side_s;
    g.tile_r = side_r;
  } else { // rows only: as long as they are, as many as fill the tile
    const Index length = (Blocking::shift(g.axes.r, op) + op.extent[g.axes.r] + 15) & ~Index(15);
    g.tile_r = std::min<Index>(length, 512);
    g.tile_s = std::min<Index>(tile_voxels / g.tile_r & ~Index(3), 64);
  }
  g.tiles_s = Blocking::count(g.axes.s, g.tile_s, op);
  g.tiles_r = Blocking::count(g.axes.r, g.tile_r, op);
  return g;
}

#ifdef M3D_X86
#define M3D_WALK walk_avx512
#define M3D_TARGET                                                                                 \
  __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512")))
#define M3D_PHILOX 512
#include "ops/reverse_step_walk.inc"
#undef M3D_WALK
#undef M3D_TARGET
#undef M3D_PHILOX

#define M3D_WALK walk_avx2
#define M3D_TARGET __attribute__((target("avx2")))
#define M3D_PHILOX 256
#include "ops/reverse_step_walk.inc"
#undef M3D_WALK
#undef M3D_TARGET
#undef M3D_PHILOX
#endif

#define M3D_WALK walk_base
#define M3D_TARGET
#define M3D_PHILOX 0
#include "ops/reverse_step_walk.inc"

using Walk = void (*)(const ReverseStep&, const Blocking&, Index, Index, Scratch&);

Walk walk_for(Simd simd) {
#ifdef M3D_X86
  if (simd == Simd::best)
    simd = simd_available(Simd::avx512) ? Simd::avx512
           : simd_available(Simd::avx2) ? Simd::avx2
                                        : Simd::base;
  if (simd == Simd::avx512) return walk_avx512::walk;
  if (simd == Simd::avx2) return walk_avx2::walk;
#else
  (void)simd;
#endif
  return walk_base::walk;
}

} // namespace

bool simd_available(Simd simd) {
  if (simd == Simd::best || simd == Simd::base) return true;
#ifdef M3D_X86
  if (simd == Simd::avx2) return __builtin_cpu_supports("avx2");
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

void reverse_step_cpu(const ReverseStep& op, int threads, Simd simd) {
  const Index voxels = op.extent[0] * op.extent[1] * op.extent[2] * op.extent[3];
  if (voxels == 0) return;
  const Blocking g = blocking(op);
  const Walk walk = walk_for(simd);
  const Index tiles = op.extent[0] * op.extent[g.axes.o] * g.tiles_s * g.tiles_r;
  const Index worth = 1 + voxels / 16384; // waking a thread costs
  const int team = static_cast<int>(std::min<Index>({omp_threads(threads), tiles, worth}));
  if (team <= 1) {
    Scratch scratch;
    walk(op, g, 0, tiles, scratch);
    return;
  }
#pragma omp parallel for schedule(static) num_threads(team)
  for (int part = 0; part < team; ++part) {
    Scratch scratch;
    walk(op, g, tiles * part / team, tiles * (part + 1) / team, scratch);
  }
}

void reverse_step_plain_on_host(const ReverseStep& op) { for_each(Cpu{1}, op.quads(), op); }

void reverse_step_phases_on_host(const ReverseStep& op) {
  const ReverseStepTiles tiles{op, tile_axes(op)};
  std::vector<float> shared(ReverseStepTiles::shared_floats);
  for (Index block = 0; block < tiles.blocks(); ++block) {
    for (int t = 0; t < tiles.threads; ++t) tiles.load(block, t, shared.data());
    for (int t = 0; t < tiles.threads; ++t) tiles.compute(block, t, shared.data());
    for (int t = 0; t < tiles.threads; ++t) tiles.store(block, t, shared.data());
  }
}

} // namespace micro3d
