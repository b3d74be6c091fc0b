// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint> // for int64_t

// A function that host and device share: the same source is compiled by nvcc and by the host
// compiler, always inlined, so the two copies cannot collide at link time.
#if defined(__CUDACC__)
#define M3D_HD __host__ __device__ __forceinline__
#elif defined(__GNUC__) || defined(__clang__)
#define M3D_HD inline __attribute__((always_inline))
#else
#define M3D_HD inline
#endif

#if defined(__CUDACC__) || defined(__GNUC__) || defined(__clang__)
#define M3D_RESTRICT __restrict__
#else
#define M3D_RESTRICT
#endif

namespace micro3d {

using Index = std::int64_t; // every extent, stride and voxel number

} // namespace micro3d
