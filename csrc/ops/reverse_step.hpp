// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/config.hpp"  // for M3D_HD, Index
#include "core/divisor.hpp" // for Divisor
#include "core/half.hpp"    // for Element, from_bf16, ...
#include "core/random.hpp"  // for normals_of_block

namespace micro3d {

/// A field over (C, Z, Y, X) in whatever layout: element (c, z, y, x) lies at the sum of index
/// times stride. data == nullptr: absent.
struct Field {
  void* data;
  Index stride[4]; // in elements, of C, Z, Y, X
  Element element;

  M3D_HD bool present() const { return data != nullptr; }
  M3D_HD int bytes() const { return element == Element::f32 ? 4 : 2; }
  M3D_HD float load(Index at) const {
    if (element == Element::f32)
      return static_cast<const float*>(data)[at];
    const std::uint16_t h = static_cast<const std::uint16_t*>(data)[at];
    return element == Element::bf16 ? from_bf16(h) : from_f16(h);
  }
  M3D_HD void store(Index at, float value) const {
    if (element == Element::f32) {
      static_cast<float*>(data)[at] = value;
    } else {
      static_cast<std::uint16_t*>(data)[at] =
          element == Element::bf16 ? to_bf16(value) : to_f16(value);
    }
  }
};

/// One step of the reverse process of the whole volume, fused: one pass over memory.
///
///   e   = guidance * net + (1 - guidance) * net_uncond                          (paper, Eq. 9)
///   out = a x + b e + h h0 + noise z                                            (Eq. 8, 16, 17)
///   or, with the prediction of the clean volume clipped:
///   out = a x + b clamp(p x + q e, -1, 1) + h h0 + noise z
///
/// z of voxel (c, z, y, x) is a pure function of (seed, draw, global voxel): lane x mod 4 of the
/// Philox block (x / 4 | c << 24, y, z, draw). So neither layout nor threads nor slabs matter.
struct ReverseStep {
  enum Role { X, Net, Uncond, H0, Out, OutNet, roles };
  Field field[roles];
  Index extent[4];         // C, Z, Y, X
  std::uint32_t origin[4]; // global index of the first voxel; of C always 0
  float a, b, noise, h;
  float guidance, unguided; // unguided = 1 - guidance
  float p, q;
  bool clip;
  std::uint32_t draw;
  std::uint64_t seed;

  /// The math of one voxel: the only copy of the equation. Absent terms are not added.
  M3D_HD float value(float x, float net, float uncond, float h0, float z, bool has_uncond,
                     bool has_h0, bool has_noise) const {
    float e = net;
    if (has_uncond)
      e = guidance * net + unguided * uncond;
    if (clip) {
      e = p * x + q * e;
      e = e < -1.0f ? -1.0f : e;
      e = e > 1.0f ? 1.0f : e;
    }
    float v = a * x + b * e;
    if (has_h0)
      v = v + h * h0;
    if (has_noise)
      v = v + noise * z;
    return v;
  }

  M3D_HD Index at(int role, Index c, Index z, Index y, Index x) const {
    const Index* s = field[role].stride;
    return c * s[0] + z * s[1] + y * s[2] + x * s[3];
  }
};

/// Which axes the CUDA tiles block: rows run along `r`, the axis in which most bytes are
/// contiguous; fields that are contiguous along `s` instead are transposed through the tile; `o` is
/// the third.
struct TileAxes {
  int r, s, o;                      // 1, 2, 3 = z, y, x
  bool columns[ReverseStep::roles]; // contiguous along s: to be transposed
  bool any_columns;
};

inline TileAxes tile_axes(const ReverseStep& op) {
  const auto distance = [](Index stride) { return stride < 0 ? -stride : stride; };
  int fast[ReverseStep::roles];
  Index weight[4] = {0, 0, 0, 0};
  for (int role = 0; role < ReverseStep::roles; ++role) {
    const Field& f = op.field[role];
    fast[role] = 0; // any axis will do
    if (!f.present())
      continue;
    for (int axis = 3; axis >= 1; --axis)
      if (op.extent[axis] > 1 && f.stride[axis] != 0 &&
          (fast[role] == 0 || distance(f.stride[axis]) < distance(f.stride[fast[role]])))
        fast[role] = axis;
    weight[fast[role]] += f.bytes() * (role < ReverseStep::Out ? 2 : 1); // a late read costs more
  }
  TileAxes axes{};
  axes.r = 3;
  for (int axis = 2; axis >= 1; --axis)
    if (weight[axis] > weight[axes.r])
      axes.r = axis;
  axes.s = axes.r == 3 ? 2 : 3;
  if (op.noise == 0.0f || axes.r == 3) { // else the tile must hold whole quads of x
    const int other = 6 - axes.r - axes.s;
    if (weight[other] == weight[axes.s]) { // nothing to transpose: stay close in memory
      for (int role = 0; role < ReverseStep::roles; ++role) {
        const Field& f = op.field[role];
        if (!f.present())
          continue;
        const bool nearer = distance(f.stride[other]) < distance(f.stride[axes.s]);
        weight[nearer ? other : axes.s] += f.bytes();
      }
      if (op.extent[other] == 1 || op.extent[axes.s] == 1)
        weight[op.extent[other] == 1 ? other : axes.s] = 0;
    }
    if (weight[other] > weight[axes.s])
      axes.s = other;
  }
  axes.o = 6 - axes.r - axes.s;
  for (int role = 0; role < ReverseStep::roles; ++role) {
    axes.columns[role] = op.field[role].present() && fast[role] == axes.s;
    axes.any_columns = axes.any_columns || axes.columns[role];
  }
  return axes;
}

/// The CUDA schedule: tiles of 32 x 32 voxels, three phases between two barriers.
///
///   load     fields contiguous along s are read along s into shared memory
///   compute  every thread takes the four voxels of one Philox block, reads what is contiguous
///            along r directly, writes what is contiguous along r, leaves the rest in shared memory
///   store    outputs contiguous along s are written along s
///
/// The pitch of 33 keeps all three free of bank conflicts; global accesses are 16 bytes per thread
/// where stride and alignment allow, and contiguous over a warp otherwise.
struct ReverseStepTiles {
  ReverseStep op;
  TileAxes axes;
  Index extent_r, extent_s;           // of the volume along the axes of a tile
  int shift_r, shift_s;               // voxels that the first tile begins before the volume
  Divisor channels, tiles_r, tiles_s; // how a block number is taken apart
  static constexpr int side = 32, pitch = side + 1, threads = side * side / 4;
  static constexpr int tiles_in_shared = 5; // x, net, net_uncond, h0, the result
  static constexpr int shared_floats = tiles_in_shared * side * pitch;

  /// At most 2^31 - 1, or CUDA cannot launch them.
  Index blocks() const { return op.extent[axes.o] * channels.by * tiles_r.by * tiles_s.by; }

  struct Tile { // channel, place along o, first voxel along s and r
    Index c, o, s, r;
  };
  M3D_HD Tile tile(std::uint32_t block) const { // channels fastest: they share cache lines if last
    std::uint32_t c, r, s;
    channels.split32(block, block, c);
    tiles_r.split32(block, block, r);
    tiles_s.split32(block, block, s);
    return {c, block, Index(s) * side - shift_s, Index(r) * side - shift_r};
  }
  M3D_HD Index offset(int role, const Tile& t, Index s, Index r) const {
    const Index* stride = op.field[role].stride;
    return t.c * stride[0] + t.o * stride[axes.o] + (t.s + s) * stride[axes.s] +
           (t.r + r) * stride[axes.r];
  }
  M3D_HD static bool inside(Index i, Index extent) { return i >= 0 && i < extent; }
  /// The voxel's number along an axis (1, 2, 3) from those along r, s and o.
  M3D_HD Index along(int axis, Index r, Index s, Index o) const {
    return axis == axes.r ? r : axis == axes.s ? s : o;
  }

  struct alignas(16) Quad32 {
    float v[4];
  };
  struct alignas(8) Quad16 {
    std::uint16_t v[4];
  };
  M3D_HD static bool aligned(const void* p, int bytes) {
    return (reinterpret_cast<std::uintptr_t>(p) & static_cast<std::uintptr_t>(bytes - 1)) == 0;
  }

  /// Four elements from `at` on, `step` apart, of which [first, last) exist.
  M3D_HD void load4(const Field& f, Index at, Index step, int first, int last, float v[4]) const {
    if (step == 1 && first == 0 && last == 4) {
      if (f.element == Element::f32) {
        const float* p = static_cast<const float*>(f.data) + at;
        if (aligned(p, 16)) {
          const Quad32 quad = *reinterpret_cast<const Quad32*>(p);
          for (int j = 0; j < 4; ++j)
            v[j] = quad.v[j];
          return;
        }
      } else {
        const std::uint16_t* p = static_cast<const std::uint16_t*>(f.data) + at;
        if (aligned(p, 8)) {
          const Quad16 quad = *reinterpret_cast<const Quad16*>(p);
          for (int j = 0; j < 4; ++j)
            v[j] = f.element == Element::bf16 ? from_bf16(quad.v[j]) : from_f16(quad.v[j]);
          return;
        }
      }
    }
    for (int j = 0; j < 4; ++j)
      v[j] = j >= first && j < last ? f.load(at + j * step) : 0.0f;
  }
  M3D_HD void store4(const Field& f, Index at, Index step, int first, int last,
                     const float v[4]) const {
    if (step == 1 && first == 0 && last == 4) {
      if (f.element == Element::f32) {
        float* p = static_cast<float*>(f.data) + at;
        if (aligned(p, 16)) {
          Quad32 quad;
          for (int j = 0; j < 4; ++j)
            quad.v[j] = v[j];
          *reinterpret_cast<Quad32*>(p) = quad;
          return;
        }
      } else {
        std::uint16_t* p = static_cast<std::uint16_t*>(f.data) + at;
        if (aligned(p, 8)) {
          Quad16 quad;
          for (int j = 0; j < 4; ++j)
            quad.v[j] = f.element == Element::bf16 ? to_bf16(v[j]) : to_f16(v[j]);
          *reinterpret_cast<Quad16*>(p) = quad;
          return;
        }
      }
    }
    for (int j = first; j < last; ++j)
      f.store(at + j * step, v[j]);
  }

  /// How much of the quad starting at voxel g lies inside the volume: [first, last).
  M3D_HD static void clip_quad(Index g, Index extent, int& first, int& last) {
    first = g < 0 ? static_cast<int>(g < -4 ? 4 : -g) : 0;
    const Index left = extent - g;
    last = left < 4 ? static_cast<int>(left < 0 ? 0 : left) : 4;
    if (last < first)
      last = first;
  }

  M3D_HD static float* shared_tile(float* shared, int role) {
    return shared + (role < ReverseStep::Out ? role : 4) * (side * pitch); // [s, r]
  }

  M3D_HD void load(const Tile& t, int thread, float* shared) const {
    if (!axes.any_columns)
      return;
    const int r = thread / 8, s = thread % 8 * 4; // 8 threads read 32 elements along s
    int first, last;
    clip_quad(t.s + s, extent_s, first, last);
    if (!inside(t.r + r, extent_r) || first == last)
      return;
    for (int role = 0; role < ReverseStep::Out; ++role) {
      if (!axes.columns[role])
        continue;
      float v[4];
      load4(op.field[role], offset(role, t, s, r), op.field[role].stride[axes.s], first, last, v);
      float* to = shared_tile(shared, role);
      for (int j = 0; j < 4; ++j)
        to[(s + j) * pitch + r] = v[j];
    }
  }

  /// Where a thread's quad lies: it runs along x where noise needs it, else along r.
  struct Quad {
    bool along_r;
    int s, r, first, last;
  };

  /// Four values of an input, from shared memory or from where they are.
  M3D_HD void read(int role, const Tile& t, const Quad& q, float* shared, float v[4]) const {
    const Field& f = op.field[role];
    if (!f.present()) {
      for (int j = 0; j < 4; ++j)
        v[j] = 0.0f;
    } else if (axes.columns[role]) {
      const float* from = shared_tile(shared, role) + q.s * pitch + q.r;
      for (int j = 0; j < 4; ++j)
        v[j] = from[q.along_r ? j : j * pitch];
    } else {
      load4(f, offset(role, t, q.s, q.r), f.stride[q.along_r ? axes.r : axes.s], q.first, q.last,
            v);
    }
  }
  M3D_HD void write(int role, const Tile& t, const Quad& q, const float v[4]) const {
    const Field& f = op.field[role];
    if (f.present() && !axes.columns[role])
      store4(f, offset(role, t, q.s, q.r), f.stride[q.along_r ? axes.r : axes.s], q.first, q.last,
             v);
  }

  // Every small array here has indices that are known when it is compiled, so that all of them are
  // registers.
  M3D_HD void compute(const Tile& t, int thread, float* shared) const {
    Quad q;
    q.along_r = axes.r == 3 || op.noise == 0.0f;
    q.s = q.along_r ? thread / 8 : thread / 32 * 4;
    q.r = q.along_r ? thread % 8 * 4 : thread % 32;
    const Index at_r = t.r + q.r, at_s = t.s + q.s;
    if (q.along_r)
      clip_quad(at_r, extent_r, q.first, q.last);
    else
      clip_quad(at_s, extent_s, q.first, q.last);
    if (!(q.along_r ? inside(at_s, extent_s) : inside(at_r, extent_r)) || q.first == q.last)
      return;

    float x[4], net[4], uncond[4], h0[4], normal[4] = {};
    read(ReverseStep::X, t, q, shared, x);
    read(ReverseStep::Net, t, q, shared, net);
    read(ReverseStep::Uncond, t, q, shared, uncond);
    read(ReverseStep::H0, t, q, shared, h0);
    if (op.noise != 0.0f)
      normals_of_block(op.seed, op.draw, static_cast<std::uint32_t>(t.c),
                       op.origin[1] + static_cast<std::uint32_t>(along(1, at_r, at_s, t.o)),
                       op.origin[2] + static_cast<std::uint32_t>(along(2, at_r, at_s, t.o)),
                       (op.origin[3] + static_cast<std::uint32_t>(along(3, at_r, at_s, t.o))) >> 2,
                       normal);
    float v[4];
    for (int j = 0; j < 4; ++j)
      v[j] = op.value(x[j], net[j], uncond[j], h0[j], normal[j],
                      op.field[ReverseStep::Uncond].present(), op.field[ReverseStep::H0].present(),
                      op.noise != 0.0f);
    write(ReverseStep::Out, t, q, v);
    write(ReverseStep::OutNet, t, q, v);
    if (!axes.columns[ReverseStep::Out] && !axes.columns[ReverseStep::OutNet])
      return;
    float* to = shared_tile(shared, ReverseStep::Out) + q.s * pitch + q.r;
    for (int j = 0; j < 4; ++j)
      to[q.along_r ? j : j * pitch] = v[j];
  }

  M3D_HD void store(const Tile& t, int thread, const float* shared) const {
    if (!axes.columns[ReverseStep::Out] && !axes.columns[ReverseStep::OutNet])
      return;
    const int r = thread / 8, s = thread % 8 * 4;
    int first, last;
    clip_quad(t.s + s, extent_s, first, last);
    if (!inside(t.r + r, extent_r) || first == last)
      return;
    float v[4];
    for (int j = 0; j < 4; ++j)
      v[j] = shared[4 * (side * pitch) + (s + j) * pitch + r];
    for (int role = ReverseStep::Out; role < ReverseStep::roles; ++role)
      if (axes.columns[role])
        store4(op.field[role], offset(role, t, s, r), op.field[role].stride[axes.s], first, last,
               v);
  }
};

/// The tiles of a step. The one that holds x begins at a global multiple of 4, so quads are never
/// cut by a tile.
inline ReverseStepTiles reverse_step_tiles(const ReverseStep& op) {
  ReverseStepTiles t{};
  t.op = op;
  t.axes = tile_axes(op);
  t.extent_r = op.extent[t.axes.r];
  t.extent_s = op.extent[t.axes.s];
  const auto shift = [&](int axis) { return axis == 3 ? static_cast<int>(op.origin[3] & 3u) : 0; };
  t.shift_r = shift(t.axes.r);
  t.shift_s = shift(t.axes.s);
  const auto count = [](int before, Index extent) {
    return divisor((before + extent + ReverseStepTiles::side - 1) / ReverseStepTiles::side);
  };
  t.channels = divisor(op.extent[0]);
  t.tiles_r = count(t.shift_r, t.extent_r);
  t.tiles_s = count(t.shift_s, t.extent_s);
  return t;
}

void reverse_step_cpu(const ReverseStep& op, int threads);            // reverse_step.cpp
void reverse_step_cuda(const ReverseStep& op, std::uintptr_t stream); // reverse_step.cu

} // namespace micro3d
