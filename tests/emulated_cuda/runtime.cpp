// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
// How the emulated GPU runs a kernel: block by block, a block's threads as fibers of one thread of
// the host. A barrier switches to the scheduler, which continues when all threads have arrived.
// One file: scheduler, barriers, warps and checks share the state of the running block.
#include "cuda_runtime.h"

#include "machine.hpp" // for Machine, machine

#include <sys/mman.h> // for mmap

#include <algorithm> // for min
#include <cstdlib>   // for getenv
#include <cstring>   // for memset

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulated_cuda {

Machine machine;
std::recursive_mutex the_card;

// ---------------------------------------------------------------------------------- the switching

#if !defined(__x86_64__)
#error "the emulation of CUDA knows how to switch stacks on x86-64 alone"
#endif

extern "C" void emulated_cuda_switch(void** from, void* to);
asm(R"(
.text
.hidden emulated_cuda_switch
.globl emulated_cuda_switch
.type emulated_cuda_switch, @function
emulated_cuda_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulated_cuda_switch, .-emulated_cuda_switch
)");

namespace {

constexpr std::size_t guard_bytes = 4096;

struct SchedulerStack {
  void* sp = nullptr;
  const void* bottom = nullptr; // for the address sanitizer
  std::size_t size = 0;
  void* fake = nullptr;
} scheduler;

/// Whether this thread of the host is in a kernel. Nowhere else do the checks of accesses count:
/// the linker may take the kernels' copies of inline functions, checks and all, for everything
/// here.
thread_local bool in_kernel = false;

void to_fiber(Fiber& fiber) {
  machine.fiber = &fiber;
  in_kernel = true;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&scheduler.fake, fiber.stack, fiber_stack_bytes);
#endif
  emulated_cuda_switch(&scheduler.sp, fiber.sp);
  in_kernel = false;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(scheduler.fake, nullptr, nullptr);
#endif
}

void to_scheduler() {
  Fiber& fiber = *machine.fiber;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&fiber.fake, scheduler.bottom, scheduler.size);
#endif
  emulated_cuda_switch(&fiber.sp, scheduler.sp);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fiber.fake, &scheduler.bottom, &scheduler.size);
#endif
}

/// Runs threads that have not begun, one after the other, until one has to wait.
[[noreturn]] void fiber_main() {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &scheduler.bottom, &scheduler.size);
#endif
  for (;;) {
    Machine& m = machine;
    for (;;) {
      m.current->fiber = m.fiber;
      m.work->thread(m.work->given.get());
      m.current->wait = Wait::done;
      const unsigned next = m.position + 1;
      if (next == m.count || m.threads[m.order[next]].wait != Wait::fresh)
        break;
      m.position = next;
      m.begin(m.threads[m.order[next]]);
    }
    m.idle.push_back(m.fiber);
    to_scheduler();
  }
}

void prepare(Fiber& fiber) {
  if (fiber.stack == nullptr) {
    void* const p = mmap(nullptr, fiber_stack_bytes + guard_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED || mprotect(p, guard_bytes, PROT_NONE) != 0)
      std::abort();
    fiber.stack = static_cast<char*>(p) + guard_bytes;
  }
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(fiber.stack, fiber_stack_bytes);
#endif
  void** top = reinterpret_cast<void**>(fiber.stack + fiber_stack_bytes);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&fiber_main);
  for (int i = 0; i < 6; ++i)
    *--top = nullptr;
  fiber.sp = top;
  fiber.fake = nullptr;
}

Fiber* take_fiber() {
  Machine& m = machine;
  if (m.idle.empty()) {
    m.fibers.push_back(std::make_unique<Fiber>());
    prepare(*m.fibers.back());
    m.idle.push_back(m.fibers.back().get());
  }
  Fiber* const fiber = m.idle.back();
  m.idle.pop_back();
  return fiber;
}

/// Leaves the threads of a kernel that failed where they are.
void abandon() {
  machine.idle.clear();
  for (const auto& fiber : machine.fibers) {
    prepare(*fiber);
    machine.idle.push_back(fiber.get());
  }
}

std::string text(Site site) {
  const char* name = std::strrchr(site.file, '/');
  return std::string(name ? name + 1 : site.file) + ":" + std::to_string(site.line);
}

std::string text(uint3 i) {
  return "(" + std::to_string(i.x) + ", " + std::to_string(i.y) + ", " + std::to_string(i.z) + ")";
}

// ---------------------------------------------------------------------------------------- the
// order

std::uint64_t random_word(std::uint64_t& state) { // splitmix64
  std::uint64_t x = state += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
std::uint64_t below(std::uint64_t n, std::uint64_t& state) {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(random_word(state)) * n >> 64);
}

void order_threads() {
  Machine& m = machine;
  if (m.settings.threads == Order::random)
    for (unsigned i = m.count - 1; i > 0; --i)
      std::swap(m.order[i], m.order[below(i + 1, m.random)]);
}

/// The blocks of a launch in forward, reverse or a random order.
struct BlockOrder {
  std::uint64_t n, step = 1, first = 0;
  Order order;

  BlockOrder(std::uint64_t n, Order order, std::uint64_t& random) : n(n), order(order) {
    if (order != Order::random)
      return;
    first = below(n, random);
    const auto divisor = [](std::uint64_t a, std::uint64_t b) {
      while (b != 0) {
        const std::uint64_t rest = a % b;
        a = b;
        b = rest;
      }
      return a;
    };
    do
      step = 1 + below(n, random);
    while (divisor(step, n) != 1);
  }
  std::uint64_t at(std::uint64_t i) const {
    if (order == Order::reverse)
      return n - 1 - i;
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(i) * step + first) % n);
  }
};

// ------------------------------------------------------------------------------------ shared
// memory

constexpr std::size_t red_zone = 64;
constexpr unsigned char red_byte = 0xc7;

/// A new piece of shared memory between red zones, poisoned.
SharedArray& add_shared(std::size_t bytes, Site site) {
  Machine& m = machine;
  const std::size_t begin = (m.shared_end + red_zone + 63) / 64 * 64;
  m.shared_end = begin + bytes;
  char* const p = m.shared + begin;
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(p, bytes);
#else
  std::memset(p - red_zone, red_byte, red_zone);
  std::memset(p + bytes, red_byte, red_zone);
#endif
  std::memset(p, m.settings.poison, bytes);
  m.arrays.push_back({p, bytes, site});
  return m.arrays.back();
}

void begin_shared() {
  Machine& m = machine;
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(m.shared, sizeof m.shared);
  __asan_poison_memory_region(m.shared, sizeof m.shared);
#endif
  m.arrays.clear();
  m.shared_end = 0;
  m.shared_bytes = m.work->shared;
  add_shared(m.work->shared, {nullptr, 0}); // the dynamic one is the first
}

void check_red_zones() {
#ifndef __SANITIZE_ADDRESS__
  static const std::string red(red_zone, static_cast<char>(red_byte));
  for (const SharedArray& a : machine.arrays)
    if (std::memcmp(a.p - red_zone, red.data(), red_zone) != 0 ||
        std::memcmp(a.p + a.bytes, red.data(), red_zone) != 0)
      machine.fail("a thread of block " + text(blockIdx) + " wrote outside the shared array " +
                   (a.site.file ? "of " + text(a.site) : std::string("of dynamic size")));
#endif
}

// ------------------------------------------------------------------------------------------ a
// block

/// Lets the warps go on whose intrinsics all their threads have reached; how many threads.
unsigned finish_warps() {
  Machine& m = machine;
  unsigned going = 0;
  for (unsigned w = 0; w < m.count; w += 32) {
    const unsigned lanes = std::min(32u, m.count - w);
    Thread* const warp = m.threads.data() + w;
    for (unsigned lane = 0; lane < lanes; ++lane) {
      Thread& t = warp[lane];
      if (t.wait != Wait::warp)
        continue;
      bool all = true;
      for (unsigned other = 0; other < lanes && all; ++other)
        if ((t.mask >> other & 1) != 0 && warp[other].wait != Wait::done)
          all = warp[other].wait == Wait::warp && warp[other].op == t.op &&
                warp[other].mask == t.mask && warp[other].site.line == t.site.line &&
                warp[other].site.file == t.site.file;
      if (!all)
        continue;
      const unsigned mask = t.mask;
      std::uint64_t any = 0, results[32];
      for (unsigned other = 0; other < lanes; ++other)
        if ((mask >> other & 1) != 0 && warp[other].wait == Wait::warp)
          any |= warp[other].value;
      for (unsigned other = 0; other < lanes; ++other) {
        const Thread& o = warp[other];
        if ((mask >> other & 1) == 0 || o.wait != Wait::warp)
          continue;
        if (o.op == WarpOp::any) {
          results[other] = any != 0;
        } else { // past the end of the warp: the own value; from a thread that is not there: poison
          const unsigned from = other + o.delta;
          results[other] =
              from >= 32 ? o.value
              : from < lanes && (mask >> from & 1) != 0 && warp[from].wait == Wait::warp
                  ? warp[from].value
                  : 0xbad0bad0bad0bad0u;
        }
      }
      for (unsigned other = 0; other < lanes; ++other)
        if ((mask >> other & 1) != 0 && warp[other].wait == Wait::warp) {
          warp[other].value = results[other];
          warp[other].wait = Wait::ready;
          ++going;
        }
    }
  }
  return going;
}

/// Where the threads of the block are, for the message of one that cannot continue.
std::string whereabouts() {
  struct Group {
    Wait wait;
    Site site;
    unsigned count, first;
  };
  std::vector<Group> groups;
  for (unsigned i = 0; i < machine.count; ++i) {
    const Thread& t = machine.threads[i];
    const Site site = t.wait == Wait::done ? Site{"", 0} : t.site;
    const auto found = std::find_if(groups.begin(), groups.end(), [&](const Group& g) {
      return g.wait == t.wait && g.site.line == site.line && g.site.file == site.file;
    });
    if (found == groups.end())
      groups.push_back({t.wait, site, 1, i});
    else
      ++found->count;
  }
  std::string all;
  for (const Group& g : groups) {
    const char* const what = g.wait == Wait::done      ? "have returned"
                             : g.wait == Wait::barrier ? "wait at __syncthreads in "
                                                       : "wait at a warp intrinsic in ";
    if (!all.empty())
      all += "; ";
    all += std::to_string(g.count) + " (first: " + std::to_string(g.first) + ") " + what;
    if (g.wait != Wait::done)
      all += text(g.site);
  }
  return all;
}

void run_block() {
  Machine& m = machine;
  begin_shared();
  for (unsigned i = 0; i < m.count; ++i)
    m.threads[i].wait = Wait::fresh;
  for (;;) {
    order_threads();
    for (m.position = 0; m.position < m.count; ++m.position) {
      Thread& t = m.threads[m.order[m.position]];
      if (t.wait != Wait::fresh && t.wait != Wait::ready)
        continue;
      Fiber* const fiber = t.wait == Wait::fresh ? take_fiber() : t.fiber;
      m.begin(t);
      to_fiber(*fiber);
      if (!m.failure.empty())
        return;
    }
    unsigned done = 0, ready = 0, at_barrier = 0, first = m.count;
    bool one_barrier = true;
    for (unsigned i = 0; i < m.count; ++i) {
      const Thread& t = m.threads[i];
      done += t.wait == Wait::done;
      ready += t.wait == Wait::ready;
      if (t.wait == Wait::barrier) {
        ++at_barrier;
        if (first == m.count)
          first = i;
        one_barrier = one_barrier && t.site.line == m.threads[first].site.line &&
                      t.site.file == m.threads[first].site.file;
      }
    }
    if (done == m.count)
      break;
    if (done + ready + at_barrier < m.count)
      ready += finish_warps();
    if (ready > 0)
      continue;
    if (at_barrier < m.count || !one_barrier)
      return m.fail("the threads of block " + text(blockIdx) + " cannot continue: " + whereabouts());
    for (unsigned i = 0; i < m.count; ++i)
      m.threads[i].wait = Wait::ready;
    block_synchronized();
  }
  check_red_zones();
}

/// Lets the scheduler run other threads until this one is `ready` again.
void wait(Wait why, Site site) {
  machine.current->wait = why;
  machine.current->site = site;
  to_scheduler();
}

} // namespace

void Machine::begin(Thread& t) {
  current = &t;
  t.wait = Wait::running;
  threadIdx = t.index;
}

void Machine::fail(const std::string& why) {
  if (failure.empty())
    failure = "`" + std::string(work->kernel) + "`: " + why;
}

void leave_thread() { to_scheduler(); }
#ifdef EMULATED_CUDA_CHECKS
bool& inside_kernel() { return in_kernel; }
#endif

std::string run(const Work& work) {
  const std::lock_guard<std::recursive_mutex> lock(the_card);
  Machine& m = machine;
  m.work = &work;
  m.failure.clear();
  gridDim = work.grid;
  blockDim = work.block;
  m.count = work.block.x * work.block.y * work.block.z;
  m.threads.resize(m.count);
  m.order.resize(m.count);
  for (unsigned i = 0; i < m.count; ++i) {
    m.threads[i].index = {i % work.block.x, i / work.block.x % work.block.y,
                          i / (work.block.x * work.block.y)};
    m.order[i] = m.settings.threads == Order::reverse ? m.count - 1 - i : i;
  }
  m.random = m.settings.seed + m.launches;
  ++m.launches;
  m.last_kernel = work.kernel;
  kernel_begins(work);
  const std::uint64_t blocks = std::uint64_t(work.grid.x) * work.grid.y * work.grid.z;
  const BlockOrder order(blocks, m.settings.blocks, m.random);
  for (std::uint64_t i = 0; i < blocks && m.failure.empty(); ++i) {
    const std::uint64_t block = order.at(i);
    blockIdx = {static_cast<unsigned>(block % work.grid.x),
                static_cast<unsigned>(block / work.grid.x % work.grid.y),
                static_cast<unsigned>(block / work.grid.x / work.grid.y)};
    m.block = block;
    run_block();
  }
  if (!m.failure.empty())
    abandon();
  m.work = nullptr;
  return m.failure;
}

// ------------------------------------------------------------------------------ what kernels call

void barrier(Site site) { wait(Wait::barrier, site); }

std::uint64_t warp(WarpOp op, unsigned mask, std::uint64_t value, unsigned delta, Site site) {
  Thread& t = *machine.current;
  const auto lane = static_cast<unsigned>(machine.current - machine.threads.data()) % 32;
  if ((mask >> lane & 1) == 0) {
    in_kernel = false;
    machine.fail("lane " + std::to_string(lane) + " calls the warp intrinsic in " + text(site) +
                 " with a mask without it");
    leave_thread();
  }
  t.op = op;
  t.mask = mask;
  t.value = value;
  t.delta = delta;
  wait(Wait::warp, site);
  return t.value;
}

void* shared_array(std::size_t bytes, std::size_t, Site site) {
  Machine& m = machine;
  for (const SharedArray& a : m.arrays)
    if (a.site.line == site.line && a.site.file == site.file)
      return a.p;
  m.shared_bytes = (m.shared_bytes + 15) / 16 * 16 + bytes;
  if (m.shared_bytes > shared_limit) {
    in_kernel = false;
    m.fail("asks for " + std::to_string(m.shared_bytes) + " bytes of shared memory, " +
           std::to_string(shared_limit) + " are there (" + text(site) + ")");
    leave_thread();
  }
  return add_shared(bytes, site).p;
}

void* dynamic_shared_array(std::size_t, Site) { return machine.arrays.front().p; }

void before_atomic(const void* at, unsigned bytes) {
  Machine& m = machine;
  if (m.settings.threads == Order::random && below(8, m.random) == 0)
    wait(Wait::ready, {nullptr, 0});
  atomic_access(at, bytes);
}

} // namespace emulated_cuda
