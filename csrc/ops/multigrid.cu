// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "ops/multigrid.hpp"

#include "core/for_each.hpp" // for cuda_on, for_each
#include "core/reduce.hpp"   // for reduce

namespace micro3d {

namespace {

template <bool Binary> struct SmoothBody { // one colour, every other number
  PlatesLevel l;
  int colour;
  M3D_HD Index number(Index k) const {
    const Index start = l.first();
    return start + 2 * k + ((start + colour) & 1);
  }
  M3D_HD void operator()(Index k) const {
    const Index i = number(k);
    if (i < l.last())
      l.x[i] = l.template relaxed<Binary>(i);
  }
};

struct FirstBody {
  PlatesLevel l;
  M3D_HD void operator()(Index k) const {
    const Index i = l.first() + k;
    l.x[i] = (i & 1) == 0 ? l.b[i] * l.inverse[i] : 0.0f;
  }
};

template <bool Binary> struct RestrictBody {
  PlatesLevel fine, coarse;
  M3D_HD void operator()(Index k) const {
    const Index x = k % coarse.nx, y = k / coarse.nx % coarse.ny, z = k / (coarse.nx * coarse.ny);
    float sum = 0.0f;
    for (Index a = 2 * z; a < 2 * z + 2 && a < fine.nz; ++a)
      for (Index c = 2 * y; c < 2 * y + 2 && c < fine.ny; ++c)
        for (Index e = 2 * x; e < 2 * x + 2 && e < fine.nx; ++e)
          sum += fine.template residual<Binary>(fine.cell(a, c, e));
    coarse.b[coarse.cell(z, y, x)] = sum;
  }
};

struct ProlongBody {
  PlatesLevel coarse, fine;
  M3D_HD void operator()(Index k) const {
    const Index x = k % fine.nx, y = k / fine.nx % fine.ny, z = k / (fine.nx * fine.ny);
    const Index i = fine.cell(z, y, x);
    if (fine.inverse[i] > 0.0f)
      fine.x[i] += coarse.x[coarse.cell(z / 2, y / 2, x / 2)];
  }
};

struct WrapYBody {
  PlatesLevel l;
  float* v;
  M3D_HD void operator()(Index k) const {
    const Index z = k / l.nx, x = k % l.nx;
    v[l.cell(z, -1, x)] = v[l.cell(z, l.ny - 1, x)];
    v[l.cell(z, l.ny, x)] = v[l.cell(z, 0, x)];
  }
};
struct WrapXBody {
  PlatesLevel l;
  float* v;
  M3D_HD void operator()(Index k) const {
    const Index z = k / l.ny, y = k % l.ny;
    v[l.cell(z, y, -1)] = v[l.cell(z, y, l.nx - 1)];
    v[l.cell(z, y, l.nx)] = v[l.cell(z, y, 0)];
  }
};

struct ProductBody {
  const float *a, *b;
  M3D_HD double operator()(Index, Index k) const { return double(a[k]) * double(b[k]); }
};

/// The cycle as launches over single cells, one after the other.
struct CudaWalk {
  Cuda cuda;

  template <class Body> void run(Index n, const Body& body) const { for_each(cuda, n, body); }

  void wrap(const PlatesLevel& l, float* v) const {
    if (l.periodic_y)
      run(l.nz * l.nx, WrapYBody{l, v});
    if (l.periodic_x)
      run(l.nz * l.ny, WrapXBody{l, v});
  }
  void first(const PlatesLevel& l) const {
    run(l.last() - l.first(), FirstBody{l});
    wrap(l, l.x);
  }
  void smooth(const PlatesLevel& l, int colour) const {
    const Index n = (l.last() - l.first() + 1) / 2;
    if (l.gz == nullptr)
      run(n, SmoothBody<true>{l, colour});
    else
      run(n, SmoothBody<false>{l, colour});
    wrap(l, l.x);
  }
  void down(const PlatesLevel& fine, const PlatesLevel& coarse, bool from_zero) const {
    if (from_zero)
      first(fine);
    else
      smooth(fine, 0);
    smooth(fine, 1);
    const Index n = coarse.nz * coarse.ny * coarse.nx;
    if (fine.gz == nullptr)
      run(n, RestrictBody<true>{fine, coarse});
    else
      run(n, RestrictBody<false>{fine, coarse});
  }
  void up(const PlatesLevel& coarse, const PlatesLevel& fine) const {
    run(fine.nz * fine.ny * fine.nx, ProlongBody{coarse, fine});
    wrap(fine, fine.x);
    smooth(fine, 1);
    smooth(fine, 0);
  }
};

} // namespace

void multigrid_cycle_cuda(const PlatesHierarchy& h, float* z, const float* r, int visits,
                          double* rz, double* partials, std::uintptr_t stream) {
  const Cuda cuda = cuda_on(stream);
  PlatesHierarchy own = h;
  own.levels[0].x = z;
  own.levels[0].b = const_cast<float*>(r); // only read
  multigrid_visit(own, 0, visits, true, CudaWalk{cuda});
  const PlatesLevel& l = h.levels[0];
  reduce(cuda, 1, l.last() - l.first(), ProductBody{z + l.first(), r + l.first()}, rz, partials);
}

} // namespace micro3d
