// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
// Every access of a kernel, looked at: is the memory the device's, and does another thread of the
// same launch touch it with nothing in between that orders the two?
//
// The kernels are compiled with -fsanitize=thread for its calls at every access alone; here is what
// they call, in place of that sanitizer's own library. Two accesses of one place, one of them at
// least a write and not both atomic, are a race if they come from different blocks, or from
// different threads of a block with no __syncthreads between them. (Warp intrinsics order no
// memory.)
#include "machine.hpp" // for Machine
#include "memory.hpp"  // for allocations

#include <link.h> // for dl_iterate_phdr

#include <algorithm>     // for min, max
#include <cstdio>        // for snprintf
#include <cstdlib>       // for getenv
#include <unordered_map> // for unordered_map

namespace emulated_cuda {

namespace {

// A number for every stretch between two barriers of a block, one block after the other.
using Epoch = std::uint32_t;
Epoch epoch = 0, launch_began = 0, block_began = 0;
std::uint64_t block_of_epoch = ~std::uint64_t(0);

constexpr unsigned granule = 2; // bytes; no kernel writes less
constexpr std::uint16_t several = 0xffff;

/// Who touched a granule last, and whether blocks before that did so in the same launch.
struct Cell {
  Epoch written = 0, read = 0;
  Epoch written_before = 0, read_before = 0; // the last time in an earlier block
  std::uint16_t writer = 0, reader = 0;      // thread of the block, or several
  bool atomic = false, atomic_now = false;   // every write of the launch, of the epoch
};
constexpr std::size_t page_cells = 2048;
struct Page {
  Cell cell[page_cells];
};

std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages;
std::uintptr_t last_key = ~std::uintptr_t(0);
Page* last_page = nullptr;
Cell shared_cells[(sizeof machine.shared) / granule];

Cell& cell_of(std::uintptr_t address) {
  const std::uintptr_t number = address / granule, key = number / page_cells;
  if (key != last_key) {
    auto& place = pages[key];
    if (!place)
      place = std::make_unique<Page>();
    last_key = key;
    last_page = place.get();
  }
  return last_page->cell[number % page_cells];
}

/// This library in memory: tables of constants are read there.
struct Image {
  std::uintptr_t begin = 0, end = 0;
};
const Image& image() {
  static const Image found = [] {
    Image own;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* out) {
          Image here{~std::uintptr_t(0), 0};
          for (int i = 0; i < info->dlpi_phnum; ++i)
            if (const auto& h = info->dlpi_phdr[i]; h.p_type == PT_LOAD) {
              here.begin = std::min<std::uintptr_t>(here.begin, info->dlpi_addr + h.p_vaddr);
              here.end =
                  std::max<std::uintptr_t>(here.end, info->dlpi_addr + h.p_vaddr + h.p_memsz);
            }
          const auto self = reinterpret_cast<std::uintptr_t>(&machine);
          if (self < here.begin || self >= here.end)
            return 0;
          *static_cast<Image*>(out) = here;
          return 1;
        },
        &own);
    return own;
  }();
  return found;
}

bool strict() { // memory that no test registered is an error
  static const bool on = [] {
    const char* const value = std::getenv("M3D_EMULATED_STRICT");
    return value != nullptr && *value == '1';
  }();
  return on;
}

[[gnu::noinline]] void report(const char* what, std::uintptr_t address, unsigned bytes, bool write,
                              const void* caller) {
  inside_kernel() = false; // what follows is not the kernel's
  char words[400];
  const Machine& m = machine;
  std::snprintf(
      words, sizeof words,
      "thread %u of block %llu %s %u bytes at %#llx%s: %s (addr2line -i -e _core %#llx)",
      static_cast<unsigned>(m.current - m.threads.data()), static_cast<unsigned long long>(m.block),
      write ? "writes" : "reads", bytes, static_cast<unsigned long long>(address),
      address - reinterpret_cast<std::uintptr_t>(m.shared) < sizeof m.shared ? " (shared memory)"
                                                                             : "",
      what,
      static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(caller) - image().begin));
  machine.fail(words);
  leave_thread();
}

/// Whether the cell's last accesses race with this one; and keeps it.
const char* touch(Cell& c, bool write, bool atomic, bool shared) {
  const auto self = static_cast<std::uint16_t>(machine.current - machine.threads.data());
  const auto in_launch = [](Epoch e) { return e >= launch_began; };
  const auto in_block = [](Epoch e) { return e >= block_began; };
  // what earlier blocks of this launch did
  if (in_launch(c.written) && !in_block(c.written))
    c.written_before = c.written;
  if (in_launch(c.read) && !in_block(c.read))
    c.read_before = c.read;
  if (!in_launch(c.written))
    c.atomic = true;
  if (c.written != epoch)
    c.atomic_now = true;
  const char* race = nullptr;
  if (!shared && in_launch(c.written_before) && !(atomic && c.atomic))
    race = "another block wrote there";
  else if (!shared && write && in_launch(c.read_before))
    race = "another block read there";
  else if (c.written == epoch && c.writer != self && !(atomic && c.atomic_now))
    race = "another thread of the block wrote there since the last barrier";
  else if (write && c.read == epoch && c.reader != self)
    race = "another thread of the block read there since the last barrier";
  if (write) {
    c.writer = c.written == epoch && c.writer != self ? several : self;
    c.written = epoch;
    c.atomic = c.atomic && atomic;
    c.atomic_now = c.atomic_now && atomic;
  } else {
    c.reader = c.read == epoch && c.reader != self ? several : self;
    c.read = epoch;
  }
  return race;
}

bool within_parameters(std::uintptr_t address) {
  const Work& w = *machine.work;
  const auto begin = reinterpret_cast<std::uintptr_t>(w.given.get());
  return address >= begin &&
         address < reinterpret_cast<std::uintptr_t>(w.arguments) + w.argument_bytes;
}

void access(const void* p, unsigned bytes, bool write, bool atomic, const void* caller) {
  Machine& m = machine;
  if (!inside_kernel())
    return; // the launch itself, in a .cu file as well
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const auto within = [address](const void* begin, std::size_t size) {
    return address - reinterpret_cast<std::uintptr_t>(begin) < size;
  };
  if (within(m.fiber->stack, fiber_stack_bytes) || within_parameters(address))
    return; // registers, and the kernel's own parameters
  if (m.block != block_of_epoch) {
    block_of_epoch = m.block;
    block_began = ++epoch;
  }
  if (write && bytes < granule)
    return report("one byte, which these checks do not tell from its neighbour", address, bytes,
                  write, caller);
  const bool shared = within(m.shared, sizeof m.shared);
  if (shared) {
    bool inside = false;
    for (const SharedArray& a : m.arrays)
      inside = inside || (address >= reinterpret_cast<std::uintptr_t>(a.p) &&
                          address + bytes <= reinterpret_cast<std::uintptr_t>(a.p) + a.bytes);
    if (!inside)
      return report("outside of every shared array", address, bytes, write, caller);
  } else {
    const Allocations::Range range = allocations.find(address);
    if (range.device < 0) {
      if (within(reinterpret_cast<const void*>(image().begin), image().end - image().begin)) {
        if (write)
          report("a variable of the host", address, bytes, write, caller);
        return;
      }
      if (strict())
        return report("no memory of a device", address, bytes, write, caller);
    } else if (range.device != m.work->device) {
      return report("memory of another device", address, bytes, write, caller);
    } else if (address + bytes > range.end) {
      return report("past the end of an allocation", address, bytes, write, caller);
    }
  }
  const std::uintptr_t base = shared ? reinterpret_cast<std::uintptr_t>(m.shared) : 0;
  for (std::uintptr_t a = address / granule * granule; a < address + bytes; a += granule) {
    Cell& cell = shared ? shared_cells[(a - base) / granule] : cell_of(a);
    if (const char* const race = touch(cell, write, atomic, shared))
      return report(race, address, bytes, write, caller);
  }
}

void aligned_access(const void* p, unsigned bytes, bool write, const void* caller) {
  if (inside_kernel() && reinterpret_cast<std::uintptr_t>(p) % bytes != 0)
    report("not aligned", reinterpret_cast<std::uintptr_t>(p), bytes, write, caller);
  access(p, bytes, write, false, caller);
}

} // namespace

void kernel_begins(const Work&) {
  if (pages.size() > 4096) { // 200 MB; launches are in order, so none needs those before
    pages.clear();
    last_key = ~std::uintptr_t(0);
  }
  launch_began = ++epoch;
  block_of_epoch = ~std::uint64_t(0);
}
void block_synchronized() { ++epoch; }
void atomic_access(const void* at, unsigned bytes) {
  access(at, bytes, true, true, __builtin_return_address(0));
}

} // namespace emulated_cuda

// --------------------------------------------------------------------------- what the compiler
// calls

#define M3D_HOOK(bytes)                                                                            \
  extern "C" void __tsan_read##bytes(void* p) {                                                    \
    emulated_cuda::aligned_access(p, bytes, false, __builtin_return_address(0));                   \
  }                                                                                                \
  extern "C" void __tsan_write##bytes(void* p) {                                                   \
    emulated_cuda::aligned_access(p, bytes, true, __builtin_return_address(0));                    \
  }                                                                                                \
  extern "C" void __tsan_unaligned_read##bytes(void* p) {                                          \
    emulated_cuda::access(p, bytes, false, false, __builtin_return_address(0));                    \
  }                                                                                                \
  extern "C" void __tsan_unaligned_write##bytes(void* p) {                                         \
    emulated_cuda::access(p, bytes, true, false, __builtin_return_address(0));                     \
  }
M3D_HOOK(1)
M3D_HOOK(2)
M3D_HOOK(4)
M3D_HOOK(8)
M3D_HOOK(16)
extern "C" void __tsan_read_range(void* p, std::size_t bytes) {
  emulated_cuda::access(p, static_cast<unsigned>(bytes), false, false, __builtin_return_address(0));
}
extern "C" void __tsan_write_range(void* p, std::size_t bytes) {
  emulated_cuda::access(p, static_cast<unsigned>(bytes), true, false, __builtin_return_address(0));
}
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_vptr_update(void**, void*) {}
extern "C" int __tsan_atomic32_fetch_add(volatile int* p, int value, int) { // of shared pointers
  return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);
}
