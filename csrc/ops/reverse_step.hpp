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

/// What the tiles of a step on CUDA need to know: the argument of the kernel.
struct ReverseStepLayout {
  ReverseStep op;
  TileAxes axes;
  Index stride[ReverseStep::roles][4]; // of the channels and the axes o, s, r
  Index extent_r, extent_s;            // of the volume along the axes of a tile
  int shift_r, shift_s;                // voxels that the first tile begins before the volume
  Divisor channels, tiles_r, tiles_s;  // how a block number is taken apart
  bool small;                          // every offset fits into 32 bits

  /// At most 2^31 - 1, or CUDA cannot launch them.
  Index blocks() const { return op.extent[axes.o] * channels.by * tiles_r.by * tiles_s.by; }
};

/// The CUDA schedule: tiles of 32 x 32 voxels, three phases between two barriers.
///
///   load     fields contiguous along s are read along s into shared memory
///   compute  every thread takes the four voxels of one Philox block, reads what is contiguous
///            along r directly, writes what is contiguous along r, leaves the rest in shared memory
///   store    outputs contiguous along s are written along s
///
/// The pitch of 33 keeps all three free of bank conflicts; global accesses are 16 bytes per thread
/// where stride and alignment allow, and contiguous over a warp otherwise.
///
/// The kernel is bound by its instructions. So what the whole launch has in common is known when it
/// is compiled (Columns: something is transposed), and offsets have 32 bits where they fit.
template <bool Noise, bool Columns, class Offset> struct ReverseStepTiles : ReverseStepLayout {
  static constexpr int side = 32, pitch = side + 1, threads = side * side / 4;
  static constexpr bool transposes = Columns;
  static constexpr int tiles_in_shared = 5; // x, net, net_uncond, h0, the result
  static constexpr int shared_floats = Columns ? tiles_in_shared * side * pitch : 1;

  struct Tile { // channel, place along o, first voxel along s and r
    Offset c, o, s, r;
  };
  M3D_HD Tile tile(std::uint32_t block) const { // channels fastest: they share cache lines if last
    std::uint32_t c, r, s;
    channels.split32(block, block, c);
    tiles_r.split32(block, block, r);
    tiles_s.split32(block, block, s);
    return {Offset(c), Offset(block), Offset(s) * side - shift_s, Offset(r) * side - shift_r};
  }
  M3D_HD Offset offset(int role, const Tile& t, int s, int r) const {
    const Index* by = stride[role];
    return t.c * Offset(by[0]) + t.o * Offset(by[1]) + (t.s + s) * Offset(by[2]) +
           (t.r + r) * Offset(by[3]);
  }
  M3D_HD static bool inside(Offset i, Index extent) { return i >= 0 && i < Offset(extent); }
  /// The voxel's number along an axis (1, 2, 3) from those along r, s and o.
  M3D_HD std::uint32_t along(int axis, Offset r, Offset s, Offset o) const {
    return op.origin[axis] + static_cast<std::uint32_t>(axis == axes.r   ? r
                                                        : axis == axes.s ? s
                                                                         : o);
  }

  /// Four neighbours in memory.
  template <class T> struct alignas(4 * sizeof(T)) Four {
    std::uint32_t word[sizeof(T)];
  };
  template <class T> M3D_HD static bool aligned(const T* p) {
    return (reinterpret_cast<std::uintptr_t>(p) & (4 * sizeof(T) - 1)) == 0;
  }

  /// Part of a quad that lies inside the volume: [first, last).
  struct Part {
    int first, last;
    M3D_HD bool whole() const { return first == 0 && last == 4; }
    M3D_HD bool empty() const { return first >= last; }
  };
  /// The part of the quad that starts at voxel g.
  M3D_HD static Part part_of(Offset g, Index extent) {
    const Offset left = Offset(extent) - g;
    return {g < 0 ? static_cast<int>(-g) : 0, left < 4 ? static_cast<int>(left) : 4};
  }

  template <class T, class Decode>
  M3D_HD static void load_as(const T* p, Offset step, Part part, float v[4], const Decode& decode) {
    if (step == 1 && part.whole() && aligned(p)) {
      const Four<T> four = *reinterpret_cast<const Four<T>*>(p);
      for (int j = 0; j < 4; ++j) {
        if constexpr (sizeof(T) == 4)
          v[j] = decode(float_of_bits(four.word[j]));
        else
          v[j] = decode(static_cast<std::uint16_t>(four.word[j / 2] >> (16 * (j % 2))));
      }
      return;
    }
    for (int j = 0; j < 4; ++j)
      v[j] = j >= part.first && j < part.last ? decode(p[j * step]) : 0.0f;
  }
  /// Four elements from `at` on, `step` apart, of which a part exists.
  M3D_HD static void load4(const Field& f, Offset at, Offset step, Part part, float v[4]) {
    if (f.element == Element::f32)
      load_as(static_cast<const float*>(f.data) + at, step, part, v, [](float x) { return x; });
    else if (f.element == Element::bf16)
      load_as(static_cast<const std::uint16_t*>(f.data) + at, step, part, v, from_bf16);
    else
      load_as(static_cast<const std::uint16_t*>(f.data) + at, step, part, v, from_f16);
  }

  template <class T>
  M3D_HD static void store_as(T* p, Offset step, Part part, const Four<T>& four) {
    if (step == 1 && part.whole() && aligned(p)) {
      *reinterpret_cast<Four<T>*>(p) = four;
      return;
    }
    for (int j = 0; j < 4; ++j)
      if (j >= part.first && j < part.last) {
        if constexpr (sizeof(T) == 4)
          p[j * step] = float_of_bits(four.word[j]);
        else
          p[j * step] = static_cast<std::uint16_t>(four.word[j / 2] >> (16 * (j % 2)));
      }
  }
  M3D_HD static void store4(const Field& f, Offset at, Offset step, Part part, const float v[4]) {
    if (f.element == Element::f32) {
      store_as<float>(
          static_cast<float*>(f.data) + at, step, part,
          {{bits_of_float(v[0]), bits_of_float(v[1]), bits_of_float(v[2]), bits_of_float(v[3])}});
      return;
    }
    const bool bf16 = f.element == Element::bf16;
    Four<std::uint16_t> four;
    for (int j = 0; j < 2; ++j)
      four.word[j] =
          bf16 ? to_bf16_pair(v[2 * j], v[2 * j + 1]) : to_f16_pair(v[2 * j], v[2 * j + 1]);
    store_as(static_cast<std::uint16_t*>(f.data) + at, step, part, four);
  }

  M3D_HD static float* shared_tile(float* shared, int role) {
    return shared + (role < ReverseStep::Out ? role : 4) * (side * pitch); // [s, r]
  }

  M3D_HD void load(const Tile& t, int thread, float* shared) const {
    const int r = thread / 8, s = thread % 8 * 4; // 8 threads read 32 elements along s
    const Part part = part_of(t.s + s, extent_s);
    if (!inside(t.r + r, extent_r) || part.empty())
      return;
    for (int role = 0; role < ReverseStep::Out; ++role) {
      if (!axes.columns[role])
        continue;
      float v[4];
      load4(op.field[role], offset(role, t, s, r), Offset(stride[role][2]), part, v);
      float* to = shared_tile(shared, role);
      for (int j = 0; j < 4; ++j)
        to[(s + j) * pitch + r] = v[j];
    }
  }

  /// Where a thread's quad lies: it runs along x where noise needs it, else along r.
  struct Quad {
    bool along_r;
    int s, r;
    Part part;
  };

  /// Four values of an input that is there, from shared memory or from where they are.
  M3D_HD void read(int role, const Tile& t, const Quad& q, float* shared, float v[4]) const {
    if (Columns && axes.columns[role]) {
      const float* from = shared_tile(shared, role) + q.s * pitch + q.r;
      for (int j = 0; j < 4; ++j)
        v[j] = from[q.along_r ? j : j * pitch];
    } else {
      load4(op.field[role], offset(role, t, q.s, q.r), Offset(stride[role][q.along_r ? 3 : 2]),
            q.part, v);
    }
  }
  M3D_HD void write(int role, const Tile& t, const Quad& q, const float v[4]) const {
    if (op.field[role].present() && !(Columns && axes.columns[role]))
      store4(op.field[role], offset(role, t, q.s, q.r), Offset(stride[role][q.along_r ? 3 : 2]),
             q.part, v);
  }

  // Every small array here has indices that are known when it is compiled, so that all of them are
  // registers.
  M3D_HD void compute(const Tile& t, int thread, float* shared) const {
    Quad q;
    q.along_r = !Noise || axes.r == 3;
    q.s = q.along_r ? thread / 8 : thread / 32 * 4;
    q.r = q.along_r ? thread % 8 * 4 : thread % 32;
    const Offset at_r = t.r + q.r, at_s = t.s + q.s;
    q.part = q.along_r ? part_of(at_r, extent_r) : part_of(at_s, extent_s);
    if (!(q.along_r ? inside(at_s, extent_s) : inside(at_r, extent_r)) || q.part.empty())
      return;

    const bool has_uncond = op.field[ReverseStep::Uncond].present();
    const bool has_h0 = op.field[ReverseStep::H0].present();
    float x[4], net[4], uncond[4] = {}, h0[4] = {}, normal[4] = {};
    read(ReverseStep::X, t, q, shared, x);
    read(ReverseStep::Net, t, q, shared, net);
    if (has_uncond)
      read(ReverseStep::Uncond, t, q, shared, uncond);
    if (has_h0)
      read(ReverseStep::H0, t, q, shared, h0);
    if (Noise)
      normals_of_block(op.seed, op.draw, static_cast<std::uint32_t>(t.c), along(1, at_r, at_s, t.o),
                       along(2, at_r, at_s, t.o), along(3, at_r, at_s, t.o) >> 2, normal);
    float v[4];
    for (int j = 0; j < 4; ++j)
      v[j] = op.value(x[j], net[j], uncond[j], h0[j], normal[j], has_uncond, has_h0, Noise);
    write(ReverseStep::Out, t, q, v);
    write(ReverseStep::OutNet, t, q, v);
    if (!Columns || (!axes.columns[ReverseStep::Out] && !axes.columns[ReverseStep::OutNet]))
      return;
    float* to = shared_tile(shared, ReverseStep::Out) + q.s * pitch + q.r;
    for (int j = 0; j < 4; ++j)
      to[q.along_r ? j : j * pitch] = v[j];
  }

  M3D_HD void store(const Tile& t, int thread, const float* shared) const {
    if (!axes.columns[ReverseStep::Out] && !axes.columns[ReverseStep::OutNet])
      return;
    const int r = thread / 8, s = thread % 8 * 4;
    const Part part = part_of(t.s + s, extent_s);
    if (!inside(t.r + r, extent_r) || part.empty())
      return;
    float v[4];
    for (int j = 0; j < 4; ++j)
      v[j] = shared[4 * (side * pitch) + (s + j) * pitch + r];
    for (int role = ReverseStep::Out; role < ReverseStep::roles; ++role)
      if (axes.columns[role])
        store4(op.field[role], offset(role, t, s, r), Offset(stride[role][2]), part, v);
  }
};

/// The layout of a step. The tile that holds x begins at a global multiple of 4, so quads are never
/// cut by a tile.
inline ReverseStepLayout reverse_step_layout(const ReverseStep& op) {
  constexpr int side = 32, overhang = 2 * side; // of the outermost tiles
  ReverseStepLayout t{};
  t.op = op;
  t.axes = tile_axes(op);
  t.extent_r = op.extent[t.axes.r];
  t.extent_s = op.extent[t.axes.s];
  const auto shift = [&](int axis) { return axis == 3 ? static_cast<int>(op.origin[3] & 3u) : 0; };
  t.shift_r = shift(t.axes.r);
  t.shift_s = shift(t.axes.s);
  const auto count = [](int before, Index extent) {
    return divisor((before + extent + side - 1) / side);
  };
  t.channels = divisor(op.extent[0]);
  t.tiles_r = count(t.shift_r, t.extent_r);
  t.tiles_s = count(t.shift_s, t.extent_s);
  t.small = true;
  for (int role = 0; role < ReverseStep::roles; ++role) {
    Index reach = 0;
    const int order[4] = {0, t.axes.o, t.axes.s, t.axes.r};
    for (int k = 0; k < 4; ++k) {
      const Index by = op.field[role].stride[order[k]];
      t.stride[role][k] = by;
      reach += (op.extent[order[k]] + overhang) * (by < 0 ? -by : by > 0 ? by : 1);
    }
    t.small = t.small && (!op.field[role].present() || reach < Index(1) << 31);
  }
  return t;
}

void reverse_step_cpu(const ReverseStep& op, int threads);            // reverse_step.cpp
void reverse_step_cuda(const ReverseStep& op, std::uintptr_t stream); // reverse_step.cu

} // namespace micro3d
