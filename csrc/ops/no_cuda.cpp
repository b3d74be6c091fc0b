// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
// The CUDA entry points of a build without CUDA, linked instead of the ops/*.cu files.
// A new operator <op> adds its header and one line:
//
//   void <op>_cuda(arguments as declared in <op>.hpp, names left out) { absent("<op>"); }
#include "core/errors.hpp" // for absent

namespace micro3d {} // namespace micro3d
