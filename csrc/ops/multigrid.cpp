// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/multigrid.hpp"

#include "core/simd.hpp"    // for in_best_isa
#include "core/threads.hpp" // for share, thread_number

#include <algorithm> // for min, max, fill_n

namespace micro3d {

// ------------------------------------------------------------------------------------- hierarchy

PlatesHierarchy::PlatesHierarchy(Index nz, Index ny, Index nx, bool binary,
                                 const float (&weights)[3], const bool (&periodic)[2],
                                 float* buffer)
    : floats(0) {
  const auto take = [&](Index n) {
    float* const at = buffer == nullptr ? nullptr : buffer + floats;
    floats += (n + 15) / 16 * 16;
    return at;
  };
  for (;;) {
    PlatesLevel level{};
    level.nz = nz, level.ny = ny, level.nx = nx;
    level.row = nx + 2 + (nx + 1) % 2;
    level.plane = level.row * (ny + 2 + (ny + 1) % 2);
    level.wz = weights[0], level.wy = weights[1], level.wx = weights[2];
    level.periodic_y = periodic[0] && ny > 1; // around one cell is no way to go
    level.periodic_x = periodic[1] && nx > 1;
    const Index n = level.size();
    level.inverse = take(n);
    if (!levels.empty() || !binary)
      level.gz = take(n), level.gy = take(n), level.gx = take(n);
    if (!levels.empty())
      level.x = take(n), level.b = take(n);
    levels.push_back(level);
    if (std::max({nz, ny, nx}) <= 4)
      break;
    nz = (nz + 1) / 2, ny = (ny + 1) / 2, nx = (nx + 1) / 2;
  }
}

// ------------------------------------------------------------------------------------------ setup

namespace {

/// Copies into the padding of the periodic sides, planes z0 ... z1 - 1.
void wrap_values(const PlatesLevel& l, float* v, Index z0, Index z1) {
  if (!l.periodic_y && !l.periodic_x)
    return;
  for (Index z = z0; z < z1; ++z) {
    if (l.periodic_y) {
      std::copy_n(v + l.cell(z, l.ny - 1, 0), l.nx, v + l.cell(z, -1, 0));
      std::copy_n(v + l.cell(z, 0, 0), l.nx, v + l.cell(z, l.ny, 0));
    }
    if (l.periodic_x)
      for (Index y = 0; y < l.ny; ++y) {
        v[l.cell(z, y, -1)] = v[l.cell(z, y, l.nx - 1)];
        v[l.cell(z, y, l.nx)] = v[l.cell(z, y, 0)];
      }
  }
}

struct FacesBody { // face = w 2ab / (a + b), from padded conductivities
  static M3D_BODY void run(const float* k, float* face, Index step, Index count, float w) {
    float* M3D_RESTRICT to = face;
#pragma omp simd
    for (Index i = 0; i < count; ++i) {
      const float a = k[i], b = k[i + step], sum = a + b;
      to[i] = sum > 0.0f ? 2.0f * w * a * b / sum : 0.0f;
    }
  }
};

struct InverseBody { // of the diagonal, a row of cells; from the faces and the conductance to
                     // plates
  static M3D_BODY void run(const PlatesLevel* l, const float* plates, Index begin, Index count) {
    const float *gz = l->gz + begin, *gy = l->gy + begin, *gx = l->gx + begin, *p = plates + begin;
    const Index plane = l->plane, row = l->row;
    float* M3D_RESTRICT to = l->inverse + begin;
#pragma omp simd
    for (Index i = 0; i < count; ++i) {
      const float sum =
          (gz[i - plane] + gz[i]) + (gy[i - row] + gy[i]) + (gx[i - 1] + gx[i]) + p[i];
      to[i] = sum > 0.0f ? 1.0f / sum : 0.0f;
    }
  }
};

struct PairsBody { // to[k] += w (from[2k] + from[2k + 1])
  static M3D_BODY void run(const float* from, float* to_in, Index n, float w) {
    float* M3D_RESTRICT to = to_in;
    const Index pairs = n / 2;
#pragma omp simd
    for (Index k = 0; k < pairs; ++k)
      to[k] += w * (from[2 * k] + from[2 * k + 1]);
    if (n % 2 == 1)
      to[pairs] += w * from[n - 1];
  }
};

struct SecondsBody { // to[k] += w from[2k + 1]: the faces that pairs end with
  static M3D_BODY void run(const float* from, float* to_in, Index n, float w) {
    float* M3D_RESTRICT to = to_in;
    const Index pairs = n / 2;
#pragma omp simd
    for (Index k = 0; k < pairs; ++k)
      to[k] += w * from[2 * k + 1];
    if (n % 2 == 1)
      to[pairs] += w * from[n - 1];
  }
};

void diagonal(const PlatesLevel& l, const std::vector<float>& plates) {
  std::fill_n(l.inverse, l.size(), 0.0f);
  for (Index z = 0; z < l.nz; ++z)
    for (Index y = 0; y < l.ny; ++y)
      in_best_isa<InverseBody>(&l, plates.data(), l.cell(z, y, 0), l.nx);
}

/// Faces, conductances to the plates and diagonal of the next level.
std::vector<float> coarsen(const PlatesLevel& fine, const std::vector<float>& plates,
                           const PlatesLevel& coarse) {
  for (float* f : {coarse.gz, coarse.gy, coarse.gx, coarse.x, coarse.b})
    std::fill_n(f, coarse.size(), 0.0f);
  std::vector<float> coarse_plates(std::size_t(coarse.size()), 0.0f);
  const float hz = fine.nz > 1 ? 0.5f : 1.0f, hy = fine.ny > 1 ? 0.5f : 1.0f,
              hx = fine.nx > 1 ? 0.5f : 1.0f;
  const auto ends = [](Index i, Index n) { return i % 2 == 1 || i + 1 == n; }; // of its pair
  for (Index z = 0; z < fine.nz; ++z)
    for (Index y = 0; y < fine.ny; ++y) {
      const Index from = fine.cell(z, y, 0), to = coarse.cell(z / 2, y / 2, 0);
      if (ends(z, fine.nz))
        in_best_isa<PairsBody>(fine.gz + from, coarse.gz + to, fine.nx, hz);
      if (ends(y, fine.ny) && coarse.ny > 1)
        in_best_isa<PairsBody>(fine.gy + from, coarse.gy + to, fine.nx, hy);
      if (coarse.nx > 1)
        in_best_isa<SecondsBody>(fine.gx + from, coarse.gx + to, fine.nx, hx);
      if (z == 0 || z + 1 == fine.nz)
        in_best_isa<PairsBody>(plates.data() + from, coarse_plates.data() + to, fine.nx, hz);
    }
  for (Index z = 0; z < coarse.nz; ++z) { // the last face before a periodic side, seen from beyond
    if (coarse.periodic_y)
      std::copy_n(coarse.gy + coarse.cell(z, coarse.ny - 1, 0), coarse.nx,
                  coarse.gy + coarse.cell(z, -1, 0));
    if (coarse.periodic_x)
      for (Index y = 0; y < coarse.ny; ++y)
        coarse.gx[coarse.cell(z, y, -1)] = coarse.gx[coarse.cell(z, y, coarse.nx - 1)];
  }
  diagonal(coarse, coarse_plates);
  return coarse_plates;
}

} // namespace

void multigrid_setup(const PlatesHierarchy& h, const std::uint8_t* codes,
                     const double* conductivity, const double (&w)[3]) {
  PlatesLevel fine = h.levels[0];
  const Index size = fine.size();
  std::vector<float> own; // faces of a binary level 0, for the time of the setup
  if (fine.gz == nullptr) {
    own.resize(std::size_t(3 * size));
    fine.gz = own.data(), fine.gy = fine.gz + size, fine.gx = fine.gy + size;
  }
  std::vector<float> k(std::size_t(size + fine.plane), 0.0f); // padded conductivities
  for (Index z = 0; z < fine.nz; ++z)
    for (Index y = 0; y < fine.ny; ++y) {
      const std::uint8_t* code = codes + (z * fine.ny + y) * fine.nx;
      float* to = k.data() + fine.cell(z, y, 0);
      for (Index x = 0; x < fine.nx; ++x)
        to[x] = float(conductivity[code[x]]);
    }
  wrap_values(fine, k.data(), 0, fine.nz);
  in_best_isa<FacesBody>(k.data(), fine.gz, fine.plane, size, float(w[0]));
  in_best_isa<FacesBody>(k.data(), fine.gy, fine.row, size, float(w[1]));
  in_best_isa<FacesBody>(k.data(), fine.gx, Index(1), size, float(w[2]));
  std::vector<float> plates(std::size_t(size), 0.0f); // conductance to the plates
  for (const Index z : {Index(0), fine.nz - 1})
    for (Index i = fine.cell(z, 0, -1); i < fine.cell(z, fine.ny, -1); ++i)
      plates[std::size_t(i)] += 2.0f * float(w[0]) * k[std::size_t(i)];
  diagonal(fine, plates);
  for (std::size_t depth = 1; depth < h.levels.size(); ++depth) {
    plates = coarsen(fine, plates, h.levels[depth]);
    fine = h.levels[depth];
  }
}

// --------------------------------------------------------------------------------------- the walk

namespace {

/// A level seen from cell `begin` on: what the loops below run over, with 32-bit counters (the
/// colour of a cell is then as wide as its value).
M3D_BODY PlatesLevel seen_from(PlatesLevel l, Index begin) {
  l.x += begin, l.b += begin, l.inverse += begin;
  if (l.gz != nullptr)
    l.gz += begin, l.gy += begin, l.gx += begin;
  return l;
}

/// The half sweep: cells whose number has the parity `colour` are set; Sum takes b.x of all cells.
///
/// Piece by piece through a buffer: a vector that is stored in place and loaded again, shifted by
/// one cell, in the next step would wait for the store.
template <bool Sum> struct SmoothBody {
  template <bool Binary>
  static M3D_BODY double walk(const PlatesLevel& level, Index begin, Index end, int colour) {
    constexpr int piece = 512;
    float value[piece];
    double sum = 0.0;
    for (Index at = begin; at < end; at += piece) {
      const PlatesLevel l = seen_from(level, at);
      const int count = end - at < piece ? static_cast<int>(end - at) : piece;
      const int turn = static_cast<int>(at & 1) ^ colour;
#pragma omp simd
      for (int i = 0; i < count; ++i)
        value[i] = l.relaxed<Binary>(i);
#pragma omp simd reduction(+ : sum)
      for (int i = 0; i < count; ++i) {
        const float before = l.x[i], set = static_cast<float>(1 - ((i ^ turn) & 1));
        const float now = before + set * (value[i] - before);
        l.x[i] = now;
        if (Sum)
          sum += double(now) * double(l.b[i]); // b is 0 in the padding
      }
    }
    return sum;
  }
  static M3D_BODY void run(const PlatesLevel* l, Index begin, Index end, int colour, double* sum) {
    const double s =
        l->gz == nullptr ? walk<true>(*l, begin, end, colour) : walk<false>(*l, begin, end, colour);
    if (Sum)
      *sum = s;
  }
};

struct FirstBody { // from zero: red cells alone
  static M3D_BODY void run(const PlatesLevel* level, Index begin, Index end) {
    const PlatesLevel l = seen_from(*level, begin);
    float* M3D_RESTRICT x = l.x;
    const float *b = l.b, *inverse = l.inverse;
    const int count = static_cast<int>(end - begin), turn = static_cast<int>(begin & 1);
#pragma omp simd
    for (int i = 0; i < count; ++i)
      x[i] = static_cast<float>(1 - ((i ^ turn) & 1)) * (b[i] * inverse[i]);
  }
};

struct RestrictBody { // one plane of the coarse level
  template <bool Binary>
  static M3D_BODY void walk(const PlatesLevel& fine, const PlatesLevel& coarse, Index z, float* s) {
    const PlatesLevel f = fine;
    for (Index y = 0; y < coarse.ny; ++y) {
      std::fill_n(s, f.nx, 0.0f);
      for (Index a = 2 * z; a < std::min(2 * z + 2, f.nz); ++a)
        for (Index c = 2 * y; c < std::min(2 * y + 2, f.ny); ++c) {
          const Index at = f.cell(a, c, 0);
#pragma omp simd
          for (Index x = 0; x < f.nx; ++x)
            s[x] += f.residual<Binary>(at + x);
        }
      float* M3D_RESTRICT to = coarse.b + coarse.cell(z, y, 0);
#pragma omp simd
      for (Index x = 0; x < coarse.nx; ++x)
        to[x] = s[2 * x] + s[2 * x + 1];
    }
  }
  static M3D_BODY void run(const PlatesLevel* fine, const PlatesLevel* coarse, Index z) {
    std::vector<float> s(std::size_t(2 * coarse->nx + 2), 0.0f);
    if (fine->gz == nullptr)
      walk<true>(*fine, *coarse, z, s.data());
    else
      walk<false>(*fine, *coarse, z, s.data());
  }
};

struct ProlongBody { // one plane of the fine level
  static M3D_BODY void run(const PlatesLevel* coarse_in, const PlatesLevel* fine_in, Index z) {
    const PlatesLevel coarse = *coarse_in, fine = *fine_in;
    for (Index y = 0; y < fine.ny; ++y) {
      const float* M3D_RESTRICT e = coarse.x + coarse.cell(z / 2, y / 2, 0);
      float* M3D_RESTRICT x = fine.x + fine.cell(z, y, 0);
      const float* M3D_RESTRICT inverse = fine.inverse + fine.cell(z, y, 0);
      const Index pairs = fine.nx / 2;
#pragma omp simd
      for (Index k = 0; k < pairs; ++k) {
        x[2 * k] += inverse[2 * k] > 0.0f ? e[k] : 0.0f;
        x[2 * k + 1] += inverse[2 * k + 1] > 0.0f ? e[k] : 0.0f;
      }
      if (fine.nx % 2 == 1 && inverse[fine.nx - 1] > 0.0f)
        x[fine.nx - 1] += e[pairs];
    }
  }
};

/// The stages of a leg, plane by plane while the planes are in the cache.
///
/// Stage s of plane z needs stage s - 1 of planes z - below ... z + 1, and nothing else; so the
/// stages follow each other through the planes with a lag of one. Threads take slabs: first each
/// does what its own planes suffice for, then each boundary is closed by one of them. The order of
/// the stages at every cell is the same however the planes are shared out, and so are the results.
struct Pipeline {
  static constexpr int most = 3;
  int stages, below[most]; // below[0] = 0

  template <class Stage> void run(Index nz, int threads, const Stage& stage) const {
    constexpr Index least = 12; // planes a slab must have for its ends not to meet
    const int team = static_cast<int>(std::max<Index>(1, std::min<Index>(threads, nz / least)));
    // stage s of a slab [a, b) within itself: planes a + low[s] ... b - s - 1
    Index low[most] = {0, 0, 0};
    for (int s = 1; s < stages; ++s)
      low[s] = low[s - 1] + below[s];
    const auto start = [&](Index part) { return nz * part / team; };
    const auto lowest = [&](Index part, int s) { return part == 0 ? 0 : start(part) + low[s]; };
    const auto end = [&](Index part, int s) { return part + 1 == team ? nz : start(part + 1) - s; };
    share(team, team, [&](Index first_part, Index last_part, int) {
      for (Index part = first_part; part < last_part; ++part)
        for (Index t = start(part); t < start(part + 1) + stages; ++t)
          for (int s = 0; s < stages; ++s)
            if (t - s >= lowest(part, s) && t - s < end(part, s))
              stage(s, t - s);
    });
    share(team - 1, team, [&](Index first_end, Index last_end, int) {
      for (Index part = first_end; part < last_end; ++part)
        for (int s = 1; s < stages; ++s)
          for (Index z = end(part, s); z < lowest(part + 1, s); ++z)
            stage(s, z);
    });
  }
};

struct CpuWalk {
  int threads;
  const PlatesLevel* top; // whose last half sweep takes b.x along
  double* rz;

  int team(const PlatesLevel& l) const { // waking a thread costs time
    return static_cast<int>(std::max<Index>(1, std::min<Index>(threads, l.size() / 65536)));
  }
  static void smooth_plane(const PlatesLevel& l, int colour, Index z) {
    in_best_isa<SmoothBody<false>>(&l, (z + 1) * l.plane, (z + 2) * l.plane, colour,
                                   static_cast<double*>(nullptr));
    wrap_values(l, l.x, z, z + 1);
  }
  static void first_plane(const PlatesLevel& l, Index z) {
    in_best_isa<FirstBody>(&l, (z + 1) * l.plane, (z + 2) * l.plane);
    wrap_values(l, l.x, z, z + 1);
  }
  void last_plane(const PlatesLevel& l, Index z, double* sums) const {
    if (&l != top)
      return smooth_plane(l, 0, z);
    in_best_isa<SmoothBody<true>>(&l, (z + 1) * l.plane, (z + 2) * l.plane, 0, sums + z);
    wrap_values(l, l.x, z, z + 1);
  }
  void add(const std::vector<double>& sums) const {
    *rz = 0.0;
    for (const double sum : sums)
      *rz += sum;
  }

  void down(const PlatesLevel& fine, const PlatesLevel& coarse, bool from_zero) const {
    // a plane of residuals waits for the two planes that it is the sum of, and for their neighbours
    Pipeline{3, {0, 1, 2}}.run(fine.nz, team(fine), [&](int s, Index z) {
      if (s == 0 && from_zero)
        first_plane(fine, z);
      else if (s < 2)
        smooth_plane(fine, s, z);
      else if (z % 2 == 1 || z + 1 == fine.nz)
        in_best_isa<RestrictBody>(&fine, &coarse, z / 2);
    });
  }
  void up(const PlatesLevel& coarse, const PlatesLevel& fine) const {
    std::vector<double> sums(std::size_t(fine.nz), 0.0);
    Pipeline{3, {0, 1, 1}}.run(fine.nz, team(fine), [&](int s, Index z) {
      if (s == 0) {
        in_best_isa<ProlongBody>(&coarse, &fine, z);
        wrap_values(fine, fine.x, z, z + 1);
      } else if (s == 1) {
        smooth_plane(fine, 1, z);
      } else {
        last_plane(fine, z, sums.data());
      }
    });
    if (&fine == top)
      add(sums);
  }
  void first(const PlatesLevel& l) const {
    for (Index z = 0; z < l.nz; ++z)
      first_plane(l, z);
  }
  void smooth(const PlatesLevel& l, int colour) const {
    std::vector<double> sums(std::size_t(l.nz), 0.0);
    for (Index z = 0; z < l.nz; ++z)
      if (colour == 0)
        last_plane(l, z, sums.data());
      else
        smooth_plane(l, colour, z);
    if (&l == top && colour == 0)
      add(sums);
  }
};

} // namespace

void multigrid_cycle_cpu(const PlatesHierarchy& h, float* z, const float* r, int visits, double* rz,
                         int threads) {
  PlatesHierarchy own = h;
  own.levels[0].x = z;
  own.levels[0].b = const_cast<float*>(r); // read alone
  multigrid_visit(own, 0, visits, true, CpuWalk{thread_number(threads), &own.levels[0], rz});
}

} // namespace micro3d
