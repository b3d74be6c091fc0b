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
#define M3D_VECTORS 1
#endif
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"         // vectors are not passed between functions
#pragma GCC diagnostic ignored "-Wuninitialized" // in gcc's own avx512fintrin.h (PR 105593)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace micro3d {

namespace {

constexpr int lanes = 32;                       // Philox blocks at a time
constexpr Index side_s = 32, side_r = 128;      // a tile with transposition
constexpr Index tile_voxels = side_s * side_r;  // 16 kB a field
constexpr Index rows_voxels = 512;              // what is combined at a time
constexpr Index stream_voxels = Index(1) << 18; // 1 MB: by its next use other data will have
                                                // pushed the result out of the caches anyway
constexpr Index normal_plane = tile_voxels / 4 + 2 * side_r + lanes;

struct Rows {
  float* data; // rows along r
  Index pitch;
  float* row(Index s) const { return data + s * pitch; }
};

/// The normals of a tile: rows of whole Philox blocks along x or, where rows run along another
/// axis, one plane for each lane of a block.
struct NoiseRows {
  const float* data;
  Index first, pitch; // where the first voxel is in its block; of rows
  bool along_x;
  const float* row(Index s) const {
    return along_x ? data + s * pitch + first
                   : data + (s + first) % 4 * normal_plane + (s + first) / 4 * pitch;
  }
};

template <Element E> struct Stored {
  using Type = std::uint16_t;
};
template <> struct Stored<Element::f32> {
  using Type = float;
};

struct Scratch {
  alignas(64) float tile[5][tile_voxels + 272]; // the odd size keeps them off each other's sets
  alignas(64) float normal[4 * normal_plane];
  alignas(64) std::uint32_t counter[3][normal_plane] = {};
};

struct Tile {
  Index base[4]; // c and the first voxel
  Index ns, nr;
};

/// How the volume is cut into tiles.
struct Blocking {
  TileAxes axes;
  Index tile_s, tile_r;   // multiples of 4
  Index tiles_s, tiles_r; // how many
  bool s_nearer;          // than o, where the rows lie
  bool stream;            // the result past the caches: it is large, and whole cache lines

  static Index shift(int axis, const ReverseStep& op) {
    return axis == 3 ? op.origin[3] & 3u : 0; // tiles begin at global multiples of 4 along x
  }
  static Index count(int axis, Index side, const ReverseStep& op) {
    return (shift(axis, op) + op.extent[axis] + side - 1) / side;
  }
  static Index range(int axis, Index number, Index side, const ReverseStep& op, Index& begin) {
    const Index s = shift(axis, op);
    begin = number == 0 ? 0 : number * side - s;
    return std::min((number + 1) * side - s, op.extent[axis]) - begin;
  }
  /// Channels fastest (channels-last fields share their cache lines), then along r, then along
  /// whichever of s and o is nearer in memory.
  Tile tile(const ReverseStep& op, Index number) const {
    Tile t;
    t.base[0] = number % op.extent[0];
    number /= op.extent[0];
    t.nr = range(axes.r, number % tiles_r, tile_r, op, t.base[axes.r]);
    number /= tiles_r;
    const Index s = s_nearer ? number % tiles_s : number / op.extent[axes.o];
    t.base[axes.o] = s_nearer ? number / tiles_s : number % op.extent[axes.o];
    t.ns = range(axes.s, s, tile_s, op, t.base[axes.s]);
    return t;
  }
};

Blocking blocking(const ReverseStep& op) {
  Blocking g{};
  g.axes = tile_axes(op);
  const Field& out = op.field[ReverseStep::Out];
  const Index voxels = op.extent[0] * op.extent[1] * op.extent[2] * op.extent[3];
  g.stream = voxels >= stream_voxels && Blocking::shift(3, op) == 0 &&
             reinterpret_cast<std::uintptr_t>(out.data) % 64 == 0;
  for (int axis = 0; axis < 4; ++axis)
    g.stream =
        g.stream && (op.extent[axis] == 1 || out.stride[axis] == 1 || out.stride[axis] % 16 == 0);
  Index nearer = 0;
  for (int role = 0; role < ReverseStep::roles; ++role) {
    const Field& f = op.field[role];
    if (!f.present() || g.axes.columns[role])
      continue;
    const Index ds = f.stride[g.axes.s], d_o = f.stride[g.axes.o];
    nearer += (ds < 0 ? -ds : ds) <= (d_o < 0 ? -d_o : d_o) ? f.bytes() : -f.bytes();
  }
  g.s_nearer = nearer >= 0;
  if (g.axes.any_columns || (op.noise != 0.0f && g.axes.r != 3)) {
    bool short_rows = false, short_lines = false; // of 16-bit numbers
    for (int role = 0; role < ReverseStep::roles; ++role)
      if (op.field[role].present() && op.field[role].element != Element::f32)
        (g.axes.columns[role] ? short_lines : short_rows) = true;
    g.tile_s = short_rows && !short_lines ? side_s / 2 : side_s; // whole cache lines either way
    g.tile_r = side_r;
  } else { // rows only: as long as they are, as many as fill the tile
    const Index length = (Blocking::shift(g.axes.r, op) + op.extent[g.axes.r] + 15) & ~Index(15);
    g.tile_r = std::min<Index>(length, 1024);
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
#define M3D_BITS 512
#include "ops/reverse_step_walk.inc"
#undef M3D_WALK
#undef M3D_TARGET
#undef M3D_BITS

#define M3D_WALK walk_avx2
#define M3D_TARGET __attribute__((target("avx2")))
#define M3D_BITS 256
#include "ops/reverse_step_walk.inc"
#undef M3D_WALK
#undef M3D_TARGET
#undef M3D_BITS
#endif

#define M3D_WALK walk_base
#define M3D_TARGET
#define M3D_BITS 0
#include "ops/reverse_step_walk.inc"

using Walk = void (*)(const ReverseStep&, const Blocking&, Index, Index, Scratch&);

Walk walk_for(Simd simd) {
#ifdef M3D_X86
  if (simd == Simd::best)
    simd = simd_available(Simd::avx512) ? Simd::avx512
           : simd_available(Simd::avx2) ? Simd::avx2
                                        : Simd::base;
  if (simd == Simd::avx512)
    return walk_avx512::walk;
  if (simd == Simd::avx2)
    return walk_avx2::walk;
#else
  (void)simd;
#endif
  return walk_base::walk;
}

} // namespace

bool simd_available(Simd simd) {
  if (simd == Simd::best || simd == Simd::base)
    return true;
#ifdef M3D_X86
  if (simd == Simd::avx2)
    return __builtin_cpu_supports("avx2");
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

void reverse_step_cpu(const ReverseStep& op, int threads, Simd simd) {
  const Index voxels = op.extent[0] * op.extent[1] * op.extent[2] * op.extent[3];
  if (voxels == 0)
    return;
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
  const ReverseStepTiles tiles = reverse_step_tiles(op);
  std::vector<float> shared(ReverseStepTiles::shared_floats);
  for (Index block = 0; block < tiles.blocks(); ++block) {
    const ReverseStepTiles::Tile tile = tiles.tile(static_cast<std::uint32_t>(block));
    for (int t = 0; t < tiles.threads; ++t)
      tiles.load(tile, t, shared.data());
    for (int t = 0; t < tiles.threads; ++t)
      tiles.compute(tile, t, shared.data());
    for (int t = 0; t < tiles.threads; ++t)
      tiles.store(tile, t, shared.data());
  }
}

} // namespace micro3d
