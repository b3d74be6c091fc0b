// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// What the parts of the emulation share. Kernels see cuda_runtime.h alone.
#include "cuda_runtime.h" // for Work

#include <cstdint> // for uint64_t
#include <memory>  // for unique_ptr
#include <mutex>   // for recursive_mutex
#include <string>  // for string
#include <vector>  // for vector

namespace emulated_cuda {

enum class Order { forward, reverse, random };

/// From environment variables at first, see README.md.
struct Settings {
  Order threads = Order::forward, blocks = Order::forward;
  std::uint64_t seed = 0;
  bool repeat = false; // every launch in several orders, whose results must be the same bits
  int poison = 0xff;   // every byte of shared memory that was not written yet: NaN, -1
};

struct Fiber {
  char* stack = nullptr;
  void* sp = nullptr;
  void* fake = nullptr; // of the address sanitizer
};

enum class Wait : unsigned char { fresh, ready, running, barrier, warp, done };

struct Thread {
  Wait wait = Wait::fresh;
  WarpOp op = WarpOp::any;
  unsigned mask = 0, delta = 0;
  std::uint64_t value = 0; // given to a warp intrinsic, then its result
  Site site{nullptr, 0};   // where it waits
  Fiber* fiber = nullptr;
  uint3 index{0, 0, 0};
};

struct SharedArray {
  char* p;
  std::size_t bytes;
  Site site; // no file: the one of dynamic size
};

constexpr std::size_t fiber_stack_bytes = 256 * 1024;
constexpr std::size_t shared_limit = 48 * 1024; // available on a GPU without opting in

/// The one multiprocessor of the emulated GPU.
struct Machine {
  Settings settings;
  const Work* work = nullptr;
  std::uint64_t block = 0; // its number in the grid
  unsigned count = 0;      // threads of a block
  std::vector<Thread> threads;
  std::vector<unsigned> order; // in which threads run from one synchronization to the next
  unsigned position = 0;       // in `order`
  Thread* current = nullptr;
  Fiber* fiber = nullptr; // that runs, or ran last
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Fiber*> idle;
  alignas(64) char shared[shared_limit + 8192];
  std::size_t shared_end = 0, shared_bytes = 0; // with and without red zones
  std::vector<SharedArray> arrays;
  std::uint64_t random = 0;
  std::string failure; // of the kernel that runs
  std::uint64_t launches = 0;
  const char* last_kernel = "";

  void begin(Thread& thread);           // makes it the one that runs
  void fail(const std::string& reason); // the first reason counts
};
extern Machine machine;

/// Held while a kernel runs: one at a time.
extern std::recursive_mutex the_card;

/// Runs a kernel; what went wrong, or nothing.
std::string run(const Work& work);

/// Gives up the thread that runs, of a kernel that failed; does not come back.
void leave_thread();

// What a build with checks of every access (check.cpp) wants to know; nothing elsewhere.
#ifdef EMULATED_CUDA_CHECKS
bool& inside_kernel(); // whether the calling thread of the host is in one
void kernel_begins(const Work& work);
void block_synchronized();
void atomic_access(const void* at, unsigned bytes);
#else
inline void kernel_begins(const Work&) {}
inline void block_synchronized() {}
inline void atomic_access(const void*, unsigned) {}
#endif

} // namespace emulated_cuda
