// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/config.hpp" // for M3D_HD, Index

#include <cstdint>     // for uint8_t
#include <type_traits> // for is_same

namespace micro3d {

// The trilinear hexahedron on a periodic voxel grid, full 2 x 2 x 2 integration, matrix-free
// -------------------------------------------------------------------------------------------
// Voxel (z, y, x) is an element; its low corner is node (z, y, x); every axis wraps around. Field
// component 0, 1, 2 is x, y, z; flux and strain in the order x, y, z and 11, 22, 33, 23, 13, 12.
//
// On an element, with xi, eta, zeta in [-1, 1], a field is written in products of xi, eta, zeta:
//
//   u = 1/8 sum_m h[m] xi^a eta^b zeta^c,   m = a + 2b + 4c,   h[m] = sum over corners of +-u
//
// (the sign is the product of the corner's signs along the axes of m: a Haar transform). d/dxi
// takes the term m = 1 | m' to the term m', and <xi^2> = 1/3 makes the terms orthogonal, so the
// energy is a sum over seven terms ("modes") M of the gradient, of weight 1, 1/3 and 1/9 for |M| =
// 0, 1, 2:
//
//   gradient along j in mode M = h[M | j] (if j is not in M),   energy = sum_M w_M e_M : C : e_M .
//
// Two-point Gauss quadrature integrates all of these exactly, so this IS the 2 x 2 x 2 rule, at a
// third of the cost of a 24 x 24 matrix. Mode 0 is the mean strain. The caller folds voxel size and
// volume into the coefficients (the kernel sees unit elements): for gradient factors g_j = 1/(4
// h_j), field components scaled as u_i = g_i u'_i, and C'_ijkl = V g_i g_j g_k g_l C_ijkl. B-bar is
// another set of coefficients in all modes but the first.

M3D_HD constexpr int hex8_weight_class(int mode) {
  return (mode & 1) + (mode >> 1 & 1) + (mode >> 2 & 1);
}
template <class T> M3D_HD constexpr T hex8_weight(int mode) {
  return hex8_weight_class(mode) == 0 ? T(1) : hex8_weight_class(mode) == 1 ? T(1) / 3 : T(1) / 9;
}

/// Coefficients of one voxel: c[q * stride], q = 0 ... coefficients - 1.
template <class T> struct Coefficients {
  const T* c;
  Index stride;
  M3D_HD T operator[](int q) const { return c[q * stride]; }
};

// ------------------------------------------------------------------------------- conduction models

template <class T> struct ConductionIsotropic {
  static constexpr const char* name = "conduction_isotropic";
  static constexpr int components = 1, coefficients = 1, strains = 3;
  static constexpr bool float_only = true; // for speed: double has the general model
  template <int M> M3D_HD static void flux(const T (&e)[3], const Coefficients<T>& k, T (&q)[3]) {
    for (int j = 0; j < 3; ++j)
      q[j] = k[0] * e[j];
  }
};

template <class T> struct ConductionAnisotropic { // 11, 22, 33, 23, 13, 12
  static constexpr const char* name = "conduction_anisotropic";
  static constexpr int components = 1, coefficients = 6, strains = 3;
  static constexpr bool float_only = false;
  template <int M> M3D_HD static void flux(const T (&e)[3], const Coefficients<T>& k, T (&q)[3]) {
    q[0] = k[0] * e[0] + k[5] * e[1] + k[4] * e[2];
    q[1] = k[5] * e[0] + k[1] * e[1] + k[3] * e[2];
    q[2] = k[4] * e[0] + k[3] * e[1] + k[2] * e[2];
  }
};

// ------------------------------------------------------------------------------- elasticity models

template <class T> struct ElasticityIsotropic { // lambda, mu
  static constexpr const char* name = "elasticity_isotropic";
  static constexpr int components = 3, coefficients = 2, strains = 6;
  static constexpr bool float_only = true;
  template <int M> M3D_HD static void flux(const T (&e)[6], const Coefficients<T>& c, T (&s)[6]) {
    const T mu = c[1], pressure = c[0] * (e[0] + e[1] + e[2]);
    for (int i = 0; i < 3; ++i)
      s[i] = pressure + 2 * mu * e[i];
    for (int i = 3; i < 6; ++i)
      s[i] = mu * e[i];
  }
};

template <class T> struct ElasticityOrthotropic { // C11 C22 C33 C23 C13 C12 C44 C55 C66
  static constexpr const char* name = "elasticity_orthotropic";
  static constexpr int components = 3, coefficients = 9, strains = 6;
  static constexpr bool float_only = false;
  template <int M> M3D_HD static void flux(const T (&e)[6], const Coefficients<T>& c, T (&s)[6]) {
    s[0] = c[0] * e[0] + c[5] * e[1] + c[4] * e[2];
    s[1] = c[5] * e[0] + c[1] * e[1] + c[3] * e[2];
    s[2] = c[4] * e[0] + c[3] * e[1] + c[2] * e[2];
    s[3] = c[6] * e[3];
    s[4] = c[7] * e[4];
    s[5] = c[8] * e[5];
  }
};

/// Place of (q, p) in the upper triangle of a symmetric 6 x 6, row by row.
M3D_HD constexpr int packed6(int q, int p) {
  return q <= p ? q * 6 - q * (q - 1) / 2 + (p - q) : p * 6 - p * (p - 1) / 2 + (q - p);
}

template <class T> struct ElasticityAnisotropic { // upper triangle, row by row
  static constexpr const char* name = "elasticity_anisotropic";
  static constexpr int components = 3, coefficients = 21, strains = 6;
  static constexpr bool float_only = false;
  template <int M> M3D_HD static void flux(const T (&e)[6], const Coefficients<T>& c, T (&s)[6]) {
    for (int q = 0; q < 6; ++q) {
      T sum = 0;
      for (int p = 0; p < 6; ++p)
        sum += c[packed6(q, p)] * e[p];
      s[q] = sum;
    }
  }
};

/// Calls call(Model<T>{}) for each model: the only list of them.
template <class T, class Call> void for_each_model(const Call& call) {
  call(ConductionIsotropic<T>{});
  call(ConductionAnisotropic<T>{});
  call(ElasticityIsotropic<T>{});
  call(ElasticityOrthotropic<T>{});
  call(ElasticityAnisotropic<T>{});
}

/// Calls call(Model<T>{}) for the model at `index` in that list, if it computes in T.
template <class T, class Call> void with_model(int index, const Call& call) {
  int i = 0;
  for_each_model<T>([&](auto model) {
    if constexpr (std::is_same_v<T, float> || !decltype(model)::float_only)
      if (i == index)
        call(model);
    ++i;
  });
}

// ---------------------------------------------------------------------------------- one element

/// Gradient of mode M from the Haar terms h, as strain (3 components) or as it is (1 component).
template <int M, class T> M3D_HD void hex8_strain(const T (&h)[3][8], T (&e)[6]) {
  constexpr bool x = !(M & 1), y = !(M & 2), z = !(M & 4);
  e[0] = x ? h[0][M | 1] : T(0);
  e[1] = y ? h[1][M | 2] : T(0);
  e[2] = z ? h[2][M | 4] : T(0);
  e[3] = y && z ? h[2][M | 2] + h[1][M | 4] : y ? h[2][M | 2] : z ? h[1][M | 4] : T(0);
  e[4] = x && z ? h[2][M | 1] + h[0][M | 4] : x ? h[2][M | 1] : z ? h[0][M | 4] : T(0);
  e[5] = x && y ? h[1][M | 1] + h[0][M | 2] : x ? h[1][M | 1] : y ? h[0][M | 2] : T(0);
}
template <int M, class T> M3D_HD void hex8_strain(const T (&h)[1][8], T (&e)[3]) {
  e[0] = M & 1 ? T(0) : h[0][M | 1];
  e[1] = M & 2 ? T(0) : h[0][M | 2];
  e[2] = M & 4 ? T(0) : h[0][M | 4];
}

/// The transpose: adds the contribution of the stress of mode M to the Haar terms of the forces.
template <int M, class T> M3D_HD void hex8_force(const T (&s)[6], T (&f)[3][8]) {
  constexpr bool x = !(M & 1), y = !(M & 2), z = !(M & 4);
  const T w = hex8_weight<T>(M);
  if (x)
    f[0][M | 1] += w * s[0], f[1][M | 1] += w * s[5], f[2][M | 1] += w * s[4];
  if (y)
    f[0][M | 2] += w * s[5], f[1][M | 2] += w * s[1], f[2][M | 2] += w * s[3];
  if (z)
    f[0][M | 4] += w * s[4], f[1][M | 4] += w * s[3], f[2][M | 4] += w * s[2];
}
template <int M, class T> M3D_HD void hex8_force(const T (&s)[3], T (&f)[1][8]) {
  const T w = hex8_weight<T>(M);
  if (!(M & 1))
    f[0][M | 1] += w * s[0];
  if (!(M & 2))
    f[0][M | 2] += w * s[1];
  if (!(M & 4))
    f[0][M | 4] += w * s[2];
}

template <class Model, int M, class T, int N>
M3D_HD void hex8_mode(const T (&h)[N][8], const Coefficients<T>& c, T (&f)[N][8]) {
  T e[Model::strains], s[Model::strains];
  hex8_strain<M>(h, e);
  Model::template flux<M>(e, c, s);
  hex8_force<M>(s, f);
}

/// Haar terms of the field -> Haar terms of the nodal forces. `macro` is the uniform strain (in
/// unit elements) that the field fluctuates about. Term 0 of the force is zero: the forces of an
/// element sum to zero.
template <class Model, class T, int N>
M3D_HD void hex8_element(const T (&h)[N][8], const Coefficients<T>& mean,
                         const Coefficients<T>& rest, const T* macro, T (&f)[N][8]) {
  for (int i = 0; i < N; ++i)
    for (int m = 0; m < 8; ++m)
      f[i][m] = 0;
  T e[Model::strains], s[Model::strains];
  hex8_strain<0>(h, e);
  for (int q = 0; q < Model::strains; ++q)
    e[q] += macro[q];
  Model::template flux<0>(e, mean, s);
  hex8_force<0>(s, f);
  hex8_mode<Model, 1>(h, rest, f);
  hex8_mode<Model, 2>(h, rest, f);
  hex8_mode<Model, 4>(h, rest, f);
  hex8_mode<Model, 3>(h, rest, f);
  hex8_mode<Model, 5>(h, rest, f);
  hex8_mode<Model, 6>(h, rest, f);
}

/// The Haar transform of the four corners of a face, its own inverse transpose. Corners and terms
/// are numbered first + 2 second.
template <class T> M3D_HD void haar4(T a, T b, T c, T d, T (&s)[4]) {
  const T p = a + b, q = c + d, m = b - a, n = d - c;
  s[0] = p + q;
  s[1] = m + n;
  s[2] = q - p;
  s[3] = n - m;
}

/// Stiffness of a transversely isotropic phase about the unit vector n = (x, y, z), packed6, from
/// the constants lambda, mu_T, a, mu_L - mu_T, b of
///   C = lambda dd + 2 mu_T I + a (nn d + d nn) + (mu_L - mu_T)(four terms n_i n_k d_jl) + b nnnn.
template <class T>
M3D_HD void fibre_stiffness(const T* k, Index stride, const T (&n)[3], T (&c)[21]) {
  const T lambda = k[0], mu = k[stride], a = k[2 * stride], shear = k[3 * stride],
          b = k[4 * stride];
  constexpr int first[6] = {0, 1, 2, 1, 0, 0}, second[6] = {0, 1, 2, 2, 2, 1};
  for (int q = 0; q < 6; ++q)
    for (int p = q; p < 6; ++p) {
      const int i = first[q], j = second[q], l = first[p], m = second[p];
      const T nij = n[i] * n[j], nlm = n[l] * n[m];
      T value = b * nij * nlm;
      if (i == j && l == m)
        value += lambda;
      if (i == l && j == m)
        value += mu;
      if (i == m && j == l)
        value += mu;
      if (l == m)
        value += a * nij;
      if (i == j)
        value += a * nlm;
      if (j == m)
        value += shear * n[i] * n[l];
      if (j == l)
        value += shear * n[i] * n[m];
      if (i == m)
        value += shear * n[j] * n[l];
      if (i == l)
        value += shear * n[j] * n[m];
      c[packed6(q, p)] = value;
    }
}

// ------------------------------------------------------------------------------------ the operator

enum class Hex8Dot { none, input, output };

/// out = sign * (A u + forces of the uniform strain `macro`), and dot = out.u or out.out, per load.
///
/// S is what fields are stored in, T what is computed in: (float, float), (double, double), or
/// (float, double) where a field is the sum of two floats, u + u_low. Dot products are always
/// double.
template <class S, class T> struct Hex8 {
  const S* u;     // [loads, components, nz, ny, nx]; null: u = 0
  const S* u_low; // the same; null: zero
  S* out;
  Index loads, nz, ny, nx;
  const std::uint8_t* labels; // [nz, ny, nx]
  const T* mean;              // [coefficients, phases]: coefficients of mode 0
  const T* rest;              // of the other modes; the same pointer without B-bar
  Index phases;
  const S* directions; // [3, nz, ny, nx] unit vectors, or null (models with 21 coefficients)
  const T* fibre;      // [5 + 1, phases]: constants of fibre_stiffness; last row: 1 if it applies
  const T* macro;      // [loads, strains]
  T sign;
  Hex8Dot dot_kind;
  double* dot; // [loads]

  M3D_HD Index plane() const { return ny * nx; }
  M3D_HD Index voxels() const { return nz * ny * nx; }
};

/// CUDA: what a block does, as phases between barriers.
///
/// A block of 32 x 8 threads owns a column of elements, one per thread, and marches along z. A
/// thread keeps the four corners of the last plane in registers, loads those of the next, and
/// leaves the forces on its eight corners in shared memory; then each thread gathers the four
/// elements around its own node (so nodes on the low rim belong to the neighbouring block). No
/// atomics.
template <class Model, class S, class T> struct Hex8Tile {
  static constexpr int tx = 32, ty = 8, threads = tx * ty, N = Model::components;
  static constexpr int out_x = tx - 1, out_y = ty - 1; // nodes a block finishes
  static constexpr int shared_values = 8 * N * threads;

  Hex8<S, T> op;
  Index tiles_x, tiles_y, chunks, chunk; // z is cut into chunks of planes

  M3D_HD Index blocks() const { return op.loads * chunks * tiles_y * tiles_x; }

  struct Thread { // registers that live across phases
    T corner[N][4], carry[N];
    Index load, z0, z1, x, y, x1, y1, node_x, node_y;
    bool owns;
    double dot;
  };

  M3D_HD static Index wrap(Index i, Index n) { return i < 0 ? i + n : i >= n ? i % n : i; }

  M3D_HD T value(const S* field, const S* low, Index i) const {
    if (field == nullptr)
      return T(0);
    return low == nullptr ? T(field[i]) : T(field[i]) + T(low[i]);
  }

  M3D_HD void load_plane(Index z, Thread& t, T (&corner)[N][4]) const {
    const Index n = op.voxels(), base = z * op.plane();
    for (int i = 0; i < N; ++i) {
      const Index o = (t.load * N + i) * n + base;
      corner[i][0] = value(op.u, op.u_low, o + t.y * op.nx + t.x);
      corner[i][1] = value(op.u, op.u_low, o + t.y * op.nx + t.x1);
      corner[i][2] = value(op.u, op.u_low, o + t.y1 * op.nx + t.x);
      corner[i][3] = value(op.u, op.u_low, o + t.y1 * op.nx + t.x1);
    }
  }

  M3D_HD void begin(Index block, int thread, Thread& t) const {
    const Index bx = block % tiles_x, by = block / tiles_x % tiles_y;
    const Index bz = block / (tiles_x * tiles_y) % chunks;
    t.load = block / (tiles_x * tiles_y * chunks);
    const int i = thread % tx, j = thread / tx;
    // element (x, y) of the thread; node (x, y) is its low corner, finished if i, j > 0
    const Index x = bx * out_x + i - 1, y = by * out_y + j - 1;
    t.owns = i > 0 && j > 0 && x < op.nx && y < op.ny;
    t.node_x = x;
    t.node_y = y;
    t.x = wrap(x, op.nx);
    t.y = wrap(y, op.ny);
    t.x1 = t.x + 1 == op.nx ? 0 : t.x + 1;
    t.y1 = t.y + 1 == op.ny ? 0 : t.y + 1;
    t.z0 = bz * chunk;
    t.z1 = t.z0 + chunk < op.nz ? t.z0 + chunk : op.nz;
    t.dot = 0.0;
    for (int k = 0; k < N; ++k)
      t.carry[k] = 0;
    load_plane(t.z0 == 0 ? op.nz - 1 : t.z0 - 1, t, t.corner);
  }

  /// Layer of elements z (-1 of the chunk's first plane included): forces to shared memory.
  M3D_HD void element(Index layer, int thread, Thread& t, T* shared) const {
    const Index z = wrap(layer, op.nz);
    T next[N][4], h[N][8], f[N][8];
    load_plane(z + 1 == op.nz ? 0 : z + 1, t, next);
    for (int i = 0; i < N; ++i) {
      T low[4], high[4];
      haar4(t.corner[i][0], t.corner[i][1], t.corner[i][2], t.corner[i][3], low);
      haar4(next[i][0], next[i][1], next[i][2], next[i][3], high);
      for (int m = 0; m < 4; ++m) {
        h[i][m] = high[m] + low[m];
        h[i][m | 4] = high[m] - low[m];
      }
      for (int m = 0; m < 4; ++m)
        t.corner[i][m] = next[i][m];
    }
    const Index v = z * op.plane() + t.y * op.nx + t.x;
    const int label = op.labels[v];
    T turned[21];
    Coefficients<T> mean{op.mean + label, op.phases}, rest{op.rest + label, op.phases};
    if (Model::coefficients == 21 && op.directions != nullptr &&
        op.fibre[5 * op.phases + label] != T(0)) {
      const T n[3] = {T(op.directions[v]), T(op.directions[op.voxels() + v]),
                      T(op.directions[2 * op.voxels() + v])};
      fibre_stiffness(op.fibre + label, op.phases, n, turned);
      mean = rest = Coefficients<T>{turned, 1};
    }
    hex8_element<Model>(h, mean, rest, op.macro + t.load * Model::strains, f);
    for (int i = 0; i < N; ++i)
      for (int c = 0; c < 2; ++c) { // low and high plane
        T s[4];
        for (int m = 0; m < 4; ++m)
          s[m] = c == 0 ? f[i][m] - f[i][m | 4] : f[i][m] + f[i][m | 4];
        T* to = shared + Index((i * 2 + c) * 4) * threads + thread;
        to[0 * threads] = s[0] - s[1] - s[2] + s[3];
        to[1 * threads] = s[0] + s[1] - s[2] - s[3];
        to[2 * threads] = s[0] - s[1] + s[2] - s[3];
        to[3 * threads] = s[0] + s[1] + s[2] + s[3];
      }
  }

  /// Finish the nodes of plane `layer` (not for the chunk's first layer, z0 - 1).
  M3D_HD void gather(Index layer, int thread, Thread& t, const T* shared) const {
    if (!t.owns)
      return;
    for (int i = 0; i < N; ++i) {
      T sum[2];
      for (int c = 0; c < 2; ++c) {
        const T* from = shared + Index((i * 2 + c) * 4) * threads + thread;
        // this element's corner 0, its left one's 1, the lower one's 2, the diagonal one's 3
        sum[c] = (from[0] + from[1 * threads - 1]) +
                 (from[2 * threads - tx] + from[3 * threads - tx - 1]);
      }
      if (layer >= t.z0) {
        const Index o =
            (t.load * N + i) * op.voxels() + layer * op.plane() + t.node_y * op.nx + t.node_x;
        const S result = S(op.sign * (t.carry[i] + sum[0]));
        op.out[o] = result;
        if (op.dot_kind == Hex8Dot::input)
          t.dot += double(result) * double(value(op.u, op.u_low, o));
        if (op.dot_kind == Hex8Dot::output)
          t.dot += double(result) * double(result);
      }
      t.carry[i] = sum[1];
    }
  }
};

template <class Model, class S, class T>
inline Hex8Tile<Model, S, T> hex8_tile(const Hex8<S, T>& op) {
  using Tile = Hex8Tile<Model, S, T>;
  const Index tiles_x = (op.nx + Tile::out_x - 1) / Tile::out_x;
  const Index tiles_y = (op.ny + Tile::out_y - 1) / Tile::out_y;
  // blocks enough for the largest GPU, chunks long enough that their first layer costs little
  const Index wanted = 2048 / (tiles_x * tiles_y * op.loads) + 1;
  Index chunk = (op.nz + wanted - 1) / wanted;
  if (chunk < 8)
    chunk = op.nz < 8 ? op.nz : 8;
  return {op, tiles_x, tiles_y, (op.nz + chunk - 1) / chunk, chunk};
}

/// Doubles that the CUDA walk needs for its dots.
constexpr Index hex8_partials = 1 << 20;

// `model`: its index in for_each_model
template <class S, class T> void hex8_cpu(const Hex8<S, T>& op, int model, int threads);
template <class S, class T>
void hex8_cuda(const Hex8<S, T>& op, int model, double* partials, std::uintptr_t stream);

} // namespace micro3d
