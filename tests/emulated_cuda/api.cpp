// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
// The runtime library of the emulation: devices, errors, streams, what a launch may ask for.
#include "api.hpp"

#include "machine.hpp" // for Machine, run
#include "memory.hpp"  // for Allocations

#include <algorithm>  // for min
#include <climits>    // for INT_MAX
#include <cstdio>     // for fprintf
#include <cstdlib>    // for getenv, atoi
#include <cstring>    // for strcmp
#include <deque>      // for deque
#include <functional> // for function
#include <map>        // for map
#include <mutex>      // for mutex
#include <set>        // for set

namespace emulated_cuda {

Allocations allocations;

namespace {

using Item = std::function<cudaError_t()>; // a launch, or a function of the host
using Graph = std::vector<Item>;

struct Stream {
  bool held = false;
  std::unique_ptr<Graph> capture;
  std::deque<Item> waiting;
};

std::mutex streams_lock; // never held while anything runs
std::map<std::uintptr_t, Stream> streams;
std::map<std::uintptr_t, int> stream_devices; // of registered handles

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;
thread_local std::string last_text;

std::uint64_t accepted = 0; // under streams_lock, as are the two below
std::uintptr_t last_stream = 0;
int last_device = 0;

const char* variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

int devices() {
  static const int count = [] {
    const char* const given = variable("M3D_EMULATED_DEVICES");
    return given ? std::atoi(given) : 1;
  }();
  return count;
}

bool read_order(const char* word, Order& order) {
  static const std::map<std::string, Order> words{
      {"forward", Order::forward}, {"reverse", Order::reverse}, {"random", Order::random}};
  const auto found = words.find(word);
  if (found != words.end())
    order = found->second;
  return found != words.end();
}

/// The environment variables, when the library is loaded.
const bool settings_are_read = [] {
  Settings& s = machine.settings;
  const auto order = [](const char* name, Order& place) {
    if (const char* const word = variable(name); word && !read_order(word, place)) {
      std::fprintf(stderr, "%s must be forward, reverse or random, got %s\n", name, word);
      std::abort();
    }
  };
  order("M3D_EMULATED_THREADS", s.threads);
  order("M3D_EMULATED_BLOCKS", s.blocks);
  if (const char* const seed = variable("M3D_EMULATED_SEED"))
    s.seed = std::strtoull(seed, nullptr, 10);
  if (const char* const repeat = variable("M3D_EMULATED_REPEAT"))
    s.repeat = std::strcmp(repeat, "1") == 0;
  if (const char* const poison = variable("M3D_EMULATED_POISON"))
    s.poison = static_cast<int>(std::strtol(poison, nullptr, 0)) & 0xff;
  return true;
}();

cudaError_t report(cudaError_t status, std::string words) {
  if (status != cudaSuccess) {
    last_error = status;
    last_text = std::move(words);
  }
  return status;
}

const char* plain_words(cudaError_t status) {
  switch (status) {
  case cudaSuccess:
    return "no error";
  case cudaErrorInvalidValue:
    return "invalid argument";
  case cudaErrorInvalidConfiguration:
    return "invalid configuration argument";
  case cudaErrorNoDevice:
    return "no CUDA-capable device is detected";
  case cudaErrorInvalidDevice:
    return "invalid device ordinal";
  case cudaErrorInvalidResourceHandle:
    return "invalid resource handle";
  case cudaErrorIllegalAddress:
    return "an illegal memory access was encountered";
  case cudaErrorLaunchOutOfResources:
    return "too many resources requested for launch";
  case cudaErrorLaunchFailure:
    return "unspecified launch failure";
  }
  return "unknown error";
}

std::string text(dim3 d) {
  return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")";
}

std::string about(const Work& work, const std::string& words) {
  return "`" + std::string(work.kernel) + "`: " + words;
}

/// The checks of a GPU before it accepts a launch.
cudaError_t look_at(const Work& work, unsigned max_threads, std::string& words) {
  const dim3 g = work.grid, b = work.block;
  const std::uint64_t threads = std::uint64_t(b.x) * b.y * b.z;
  if (work.device < 0 || work.device >= devices()) {
    words = "there is no device " + std::to_string(work.device);
    return devices() == 0 ? cudaErrorNoDevice : cudaErrorInvalidDevice;
  }
  if (g.x == 0 || g.y == 0 || g.z == 0 || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535) {
    words = "a grid of " + text(g) + " blocks";
    return cudaErrorInvalidConfiguration;
  }
  if (threads == 0 || b.x > 1024 || b.y > 1024 || b.z > 64 || threads > 1024) {
    words = "blocks of " + text(b) + " threads";
    return cudaErrorInvalidConfiguration;
  }
  if (threads > max_threads) {
    words = "blocks of " + text(b) + " threads, but __launch_bounds__ of " +
            std::to_string(max_threads);
    return cudaErrorLaunchOutOfResources;
  }
  if (work.shared > shared_limit) {
    words = std::to_string(work.shared) + " bytes of shared memory";
    return cudaErrorInvalidValue;
  }
  const auto handle = reinterpret_cast<std::uintptr_t>(work.stream);
  if (handle > 2) {
    const std::lock_guard<std::mutex> lock(streams_lock);
    const auto found = stream_devices.find(handle);
    if (found == stream_devices.end() || found->second != work.device) {
      words = found == stream_devices.end()
                  ? "stream " + std::to_string(handle) + ", which there is not"
                  : "a stream of device " + std::to_string(found->second) + ", device " +
                        std::to_string(work.device) + " is current";
      return cudaErrorInvalidResourceHandle;
    }
  }
  return cudaSuccess;
}

/// The memory that the arguments of a kernel point into.
std::map<std::uintptr_t, Allocations::Range> memory_of(const Work& work) {
  std::map<std::uintptr_t, Allocations::Range> found;
  const char* const bytes = static_cast<const char*>(work.arguments);
  for (std::size_t i = 0; i + sizeof(std::uintptr_t) <= work.argument_bytes;
       i += alignof(std::uintptr_t)) {
    std::uintptr_t word;
    std::memcpy(&word, bytes + i, sizeof word);
    if (const Allocations::Range range = allocations.find(word); range.device >= 0)
      found[range.begin] = range;
  }
  return found;
}

/// Arguments that point into memory of another device.
cudaError_t look_at_pointers(const Work& work, std::string& words) {
  for (const auto& [begin, range] : memory_of(work))
    if (range.device != work.device) {
      words = "an argument points into memory of device " + std::to_string(range.device) +
              ", the kernel runs on device " + std::to_string(work.device);
      return cudaErrorIllegalAddress;
    }
  return cudaSuccess;
}

/// Runs a kernel once in each of several orders, from the same memory; what differs.
std::string run_repeatedly(const Work& work) {
  const std::lock_guard<std::recursive_mutex> lock(the_card);
  const Settings given = machine.settings;
  const auto memory = memory_of(work);
  const auto copy = [&] {
    std::string all;
    for (const auto& [begin, range] : memory)
      all.append(reinterpret_cast<const char*>(begin), range.end - begin);
    return all;
  };
  const std::string before = copy();
  std::string first, failure;
  constexpr std::pair<Order, Order> orders[] = {{Order::forward, Order::forward},
                                                {Order::reverse, Order::reverse},
                                                {Order::random, Order::random},
                                                {Order::reverse, Order::forward}};
  for (const auto& [threads, blocks] : orders) {
    std::size_t at = 0;
    for (const auto& [begin, range] : memory) {
      std::memcpy(reinterpret_cast<char*>(begin), before.data() + at, range.end - begin);
      at += range.end - begin;
    }
    machine.settings.threads = threads;
    machine.settings.blocks = blocks;
    failure = run(work);
    if (!failure.empty())
      break;
    const std::string after = copy();
    if (first.empty()) {
      first = after;
    } else if (first != after) {
      failure = about(work, "the result depends on the order of threads or blocks");
      break;
    }
  }
  machine.settings = given;
  return failure;
}

/// Into the stream: run it, keep it for later, or put it into a graph.
cudaError_t enqueue(std::uintptr_t handle, Item item) {
  {
    const std::lock_guard<std::mutex> lock(streams_lock);
    Stream& stream = streams[handle <= 1 ? 0 : handle];
    if (stream.capture) {
      stream.capture->push_back(std::move(item));
      return cudaSuccess;
    }
    if (stream.held) {
      stream.waiting.push_back(std::move(item));
      return cudaSuccess;
    }
  }
  return item();
}

Item item_of(const Work& work) {
  return [work] {
    const std::string failure = machine.settings.repeat ? run_repeatedly(work) : run(work);
    return failure.empty() ? cudaSuccess : report(cudaErrorLaunchFailure, failure);
  };
}

} // namespace

void submit(Work work, unsigned max_threads) {
  work.device = current_device;
  std::string words;
  cudaError_t status = look_at(work, max_threads, words);
  if (status == cudaSuccess)
    status = look_at_pointers(work, words);
  if (status != cudaSuccess) {
    report(status, about(work, words));
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(streams_lock);
    ++accepted;
    last_stream = reinterpret_cast<std::uintptr_t>(work.stream);
    last_device = work.device;
  }
  enqueue(reinterpret_cast<std::uintptr_t>(work.stream), item_of(work));
}

} // namespace emulated_cuda

// ------------------------------------------------------------------------------- CUDA's own
// functions

using namespace emulated_cuda;

cudaError_t cudaGetLastError() {
  const cudaError_t status = last_error;
  last_error = cudaSuccess;
  return status;
}

const char* cudaGetErrorString(cudaError_t status) {
  static thread_local std::string words;
  words = plain_words(status);
  if (status != cudaSuccess && !last_text.empty()) {
    words += " (emulated: " + last_text + ")";
    last_text.clear();
  }
  return words.c_str();
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = devices();
  return devices() > 0 ? cudaSuccess : report(cudaErrorNoDevice, "");
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= devices())
    return report(cudaErrorInvalidDevice, "");
  *properties = {};
  std::strcpy(properties->name, "emulated");
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = current_device;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= devices())
    return report(cudaErrorInvalidDevice, "");
  current_device = device;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 0;
  return cudaSuccess;
}

// ----------------------------------------------------------------------------------- for the tests

int emulated_cuda_device_count() { return devices(); }
int emulated_cuda_get_device() { return current_device; }
int emulated_cuda_set_device(int device) {
  if (device < 0 || device >= devices())
    return -1;
  current_device = device;
  return 0;
}

void emulated_cuda_register_allocation(int device, const void* p, size_t bytes) {
  allocations.add(device, p, bytes);
}
void emulated_cuda_unregister_allocation(const void* p) { allocations.remove(p); }

void emulated_cuda_register_stream(int device, uintptr_t stream) {
  const std::lock_guard<std::mutex> lock(streams_lock);
  stream_devices[stream] = device;
}
void emulated_cuda_unregister_stream(uintptr_t stream) {
  const std::lock_guard<std::mutex> lock(streams_lock);
  stream_devices.erase(stream);
  streams.erase(stream);
}

void emulated_cuda_hold(uintptr_t stream) {
  const std::lock_guard<std::mutex> lock(streams_lock);
  streams[stream <= 1 ? 0 : stream].held = true;
}
int emulated_cuda_pending(uintptr_t stream) {
  const std::lock_guard<std::mutex> lock(streams_lock);
  return static_cast<int>(streams[stream <= 1 ? 0 : stream].waiting.size());
}
int emulated_cuda_synchronize(uintptr_t stream) {
  int status = cudaSuccess;
  for (;;) {
    Item item;
    {
      const std::lock_guard<std::mutex> lock(streams_lock);
      Stream& s = streams[stream <= 1 ? 0 : stream];
      if (s.waiting.empty()) {
        s.held = false;
        return status;
      }
      item = std::move(s.waiting.front());
      s.waiting.pop_front();
    }
    if (const cudaError_t one = item(); one != cudaSuccess && status == cudaSuccess)
      status = one;
  }
}

void emulated_cuda_capture_begin(uintptr_t stream) {
  const std::lock_guard<std::mutex> lock(streams_lock);
  streams[stream <= 1 ? 0 : stream].capture = std::make_unique<Graph>();
  allocations.graphs(1);
}
void* emulated_cuda_capture_end(uintptr_t stream) {
  const std::lock_guard<std::mutex> lock(streams_lock);
  return streams[stream <= 1 ? 0 : stream].capture.release();
}
int emulated_cuda_graph_launch(void* graph, uintptr_t stream) {
  int status = cudaSuccess;
  for (const Item& item : *static_cast<Graph*>(graph))
    if (const cudaError_t one = enqueue(stream, item); one != cudaSuccess && status == cudaSuccess)
      status = one;
  return status;
}
void emulated_cuda_graph_destroy(void* graph) {
  delete static_cast<Graph*>(graph);
  allocations.graphs(-1);
}

void emulated_cuda_host_function(uintptr_t stream, void (*function)(void*), void* data) {
  enqueue(stream, [function, data] {
    function(data);
    return cudaSuccess;
  });
}

void emulated_cuda_set_repeat(int on) { machine.settings.repeat = on != 0; }
int emulated_cuda_set_order(const char* threads, const char* blocks, uint64_t seed) {
  Settings& s = machine.settings;
  if (!read_order(threads, s.threads) || !read_order(blocks, s.blocks))
    return -1;
  s.seed = seed;
  return 0;
}

uint64_t emulated_cuda_launches() {
  const std::lock_guard<std::mutex> lock(streams_lock);
  return accepted;
}
const char* emulated_cuda_last_kernel() { return machine.last_kernel; }
uintptr_t emulated_cuda_last_stream() {
  const std::lock_guard<std::mutex> lock(streams_lock);
  return last_stream;
}
int emulated_cuda_last_device() {
  const std::lock_guard<std::mutex> lock(streams_lock);
  return last_device;
}
int emulated_cuda_take_error() { return cudaGetLastError(); }
const char* emulated_cuda_error_text() {
  static thread_local std::string words;
  words = last_text;
  return words.c_str();
}
