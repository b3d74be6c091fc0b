// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/reverse_step.hpp"

#include "core/simd.hpp"    // for in_best_isa
#include "core/threads.hpp" // for share, thread_number

#include <algorithm> // for min
#include <utility>   // for swap

namespace micro3d {

namespace {

constexpr int philox_blocks = 32;           // whose normals are computed together
constexpr Index tile_x = 4 * philox_blocks; // voxels of a tile
constexpr Index tile_y = 16;                // 64 bytes of a field that is contiguous along y
using Rows = float[tile_y][tile_x];

/// The volume as tiles of rows along x. They begin at global multiples of 4, as Philox blocks do.
struct Tiling {
  const ReverseStep& op;
  Index shift = op.origin[3] & 3u; // voxels that the first tile begins before the volume
  Index tiles_x = (shift + op.extent[3] + tile_x - 1) / tile_x;
  Index tiles_y = (op.extent[2] + tile_y - 1) / tile_y;

  Index count() const { return op.extent[0] * op.extent[1] * tiles_y * tiles_x; }
};

/// Calls call(elements, decode, encode), typed, for the elements of a field.
template <class Call> M3D_BODY void with_elements(const Field& f, const Call& call) {
  if (f.element == Element::f32)
    call(static_cast<float*>(f.data), [](float v) { return v; }, [](float v) { return v; });
  else if (f.element == Element::bf16)
    call(static_cast<std::uint16_t*>(f.data), from_bf16, to_bf16);
  else
    call(static_cast<std::uint16_t*>(f.data), from_f16, to_f16);
}

/// Calls body(y, x) for ny * nx voxels, the axis with the smaller stride inside.
template <class Body>
M3D_BODY void walk(Index stride_y, Index stride_x, Index ny, Index nx, const Body& body) {
  const auto distance = [](Index stride) { return stride < 0 ? -stride : stride; };
  if (distance(stride_x) <= distance(stride_y) || ny == 1) {
    for (Index y = 0; y < ny; ++y)
#pragma omp simd
      for (Index x = 0; x < nx; ++x)
        body(y, x);
  } else {
    for (Index x = 0; x < nx; ++x)
#pragma omp simd
      for (Index y = 0; y < ny; ++y)
        body(y, x);
  }
}

struct ReverseStepBody {
  /// The normals of the Philox blocks from `block` on of row (c, z, y), interleaved as voxels.
  static M3D_BODY void normals(const ReverseStep& op, std::uint32_t c, std::uint32_t z,
                               std::uint32_t y, std::uint32_t block, float* M3D_RESTRICT normal) {
    alignas(64) std::uint32_t w[4][philox_blocks];
    alignas(64) float n[4][philox_blocks];
#pragma omp simd
    for (int i = 0; i < philox_blocks; ++i) {
      const PhiloxWords words =
          philox((block + std::uint32_t(i)) | (c << 24), y, z, op.draw, op.seed);
      w[0][i] = words.w[0];
      w[1][i] = words.w[1];
      w[2][i] = words.w[2];
      w[3][i] = words.w[3];
    }
#pragma omp simd
    for (int i = 0; i < philox_blocks; ++i)
      box_muller(w[0][i], w[1][i], n[0][i], n[1][i]);
#pragma omp simd
    for (int i = 0; i < philox_blocks; ++i)
      box_muller(w[2][i], w[3][i], n[2][i], n[3][i]);
    for (int i = 0; i < philox_blocks; ++i)
      for (int lane = 0; lane < 4; ++lane)
        normal[4 * i + lane] = n[lane][i];
  }

  static M3D_BODY void tile(const ReverseStep& op, Index c, Index z, Index y0, Index start) {
    using R = ReverseStep;
    alignas(64) Rows rows[R::Out + 1];
    alignas(64) float normal[tile_x] = {};
    const Index x0 = start < 0 ? 0 : start, before = x0 - start;
    const Index nx = std::min(start + tile_x, op.extent[3]) - x0;
    const Index ny = std::min(tile_y, op.extent[2] - y0);
    const bool has_uncond = op.field[R::Uncond].present(), has_h0 = op.field[R::H0].present();
    const bool has_noise = op.noise != 0.0f;
    for (int role = 0; role < R::Out; ++role) {
      const Field& f = op.field[role];
      if (!f.present())
        continue;
      const Index at = op.at(role, c, z, y0, x0), sy = f.stride[2], sx = f.stride[3];
      with_elements(f, [&](const auto* from, auto decode, auto) M3D_INLINED {
        walk(sy, sx, ny, nx, [&](Index y, Index x) M3D_INLINED {
          rows[role][y][x] = decode(from[at + y * sy + x * sx]);
        });
      });
    }
    const R local = op; // its numbers in registers
    for (Index y = 0; y < ny; ++y) {
      if (has_noise)
        normals(op, std::uint32_t(c), op.origin[1] + std::uint32_t(z),
                op.origin[2] + std::uint32_t(y0 + y), (op.origin[3] + std::uint32_t(start)) >> 2,
                normal);
      const float *x = rows[R::X][y], *net = rows[R::Net][y], *noise = normal + before;
      const float* const uncond = has_uncond ? rows[R::Uncond][y] : x; // x: read, but not used
      const float* const h0 = has_h0 ? rows[R::H0][y] : x;
      float* M3D_RESTRICT out = rows[R::Out][y];
#pragma omp simd
      for (Index i = 0; i < nx; ++i)
        out[i] =
            local.value(x[i], net[i], uncond[i], h0[i], noise[i], has_uncond, has_h0, has_noise);
    }
    for (int role = R::Out; role < R::roles; ++role) {
      const Field& f = op.field[role];
      if (!f.present())
        continue;
      const Index at = op.at(role, c, z, y0, x0), sy = f.stride[2], sx = f.stride[3];
      with_elements(f, [&](auto* to, auto, auto encode) M3D_INLINED {
        walk(sy, sx, ny, nx, [&](Index y, Index x) M3D_INLINED {
          to[at + y * sy + x * sx] = encode(rows[R::Out][y][x]);
        });
      });
    }
  }

  /// Tiles begin ... end - 1: channels fastest, since channels-last fields share cache lines.
  static M3D_BODY void run(const ReverseStep* op, Index begin, Index end) {
    const Tiling tiling{*op};
    for (Index number = begin; number < end; ++number) {
      Index rest = number;
      const Index c = rest % op->extent[0];
      rest /= op->extent[0];
      const Index x = rest % tiling.tiles_x * tile_x - tiling.shift;
      rest /= tiling.tiles_x;
      tile(*op, c, rest / tiling.tiles_y, rest % tiling.tiles_y * tile_y, x);
    }
  }
};

/// Without noise no axis is special: rows then run along the one that is nearest in the result.
ReverseStep with_long_rows(ReverseStep op) {
  const auto distance = [&](int axis) {
    const Index stride = op.field[ReverseStep::Out].stride[axis];
    return stride < 0 ? -stride : stride;
  };
  int row = 3;
  for (int axis = 1; op.noise == 0.0f && axis < 3; ++axis)
    if (op.extent[axis] > 1 && (op.extent[row] == 1 || distance(axis) < distance(row)))
      row = axis;
  std::swap(op.extent[row], op.extent[3]);
  std::swap(op.origin[row], op.origin[3]);
  for (Field& field : op.field)
    std::swap(field.stride[row], field.stride[3]);
  return op;
}

} // namespace

void reverse_step_cpu(const ReverseStep& given, int threads) {
  const ReverseStep op = with_long_rows(given);
  const Index tiles = Tiling{op}.count();
  const Index worth = 1 + op.extent[0] * op.extent[1] * op.extent[2] * op.extent[3] / 16384;
  const int team =
      static_cast<int>(std::min<Index>(thread_number(threads), worth)); // waking one costs time
  share(tiles, team,
        [&](Index begin, Index end, int) { in_best_isa<ReverseStepBody>(&op, begin, end); });
}

} // namespace micro3d
