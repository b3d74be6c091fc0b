// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// What tests ask of the emulation and tell it, through ctypes.CDLL(_core.__file__). All of it may
// be called from any thread. Devices, streams and addresses are those that the fake arrays pretend.
#include <cstddef> // for size_t
#include <cstdint> // for uint64_t

#define M3D_EMULATED_API extern "C" __attribute__((visibility("default")))

/// Number of devices, and the current one of the calling thread (-1: no such device).
M3D_EMULATED_API int emulated_cuda_device_count();
M3D_EMULATED_API int emulated_cuda_get_device();
M3D_EMULATED_API int emulated_cuda_set_device(int device);

/// Memory of a device. A kernel whose arguments point into memory of another device than its own
/// fails; with M3D_EMULATED_STRICT=1 in a build with checks, so does one that touches other memory.
M3D_EMULATED_API void emulated_cuda_register_allocation(int device, const void* p, size_t bytes);
M3D_EMULATED_API void emulated_cuda_unregister_allocation(const void* p);

/// Handles beside 0, 1 and 2, which every device has. A launch on an unknown one fails.
M3D_EMULATED_API void emulated_cuda_register_stream(int device, uintptr_t stream);
M3D_EMULATED_API void emulated_cuda_unregister_stream(uintptr_t stream);

/// A held stream keeps launches for later: until it is synchronized (0: all went well), which ends
/// the holding too. `pending`: how many wait.
M3D_EMULATED_API void emulated_cuda_hold(uintptr_t stream);
M3D_EMULATED_API int emulated_cuda_pending(uintptr_t stream);
M3D_EMULATED_API int emulated_cuda_synchronize(uintptr_t stream);

/// Between these two a stream's launches go into a graph and do not run.
M3D_EMULATED_API void emulated_cuda_capture_begin(uintptr_t stream);
M3D_EMULATED_API void* emulated_cuda_capture_end(uintptr_t stream);
M3D_EMULATED_API int emulated_cuda_graph_launch(void* graph, uintptr_t stream);
M3D_EMULATED_API void emulated_cuda_graph_destroy(void* graph);

/// A function of the host in the order of a stream: now, or where the launches go.
M3D_EMULATED_API void emulated_cuda_host_function(uintptr_t stream, void (*function)(void*),
                                                  void* data);

/// The order of threads and of blocks, "forward", "reverse" or "random", and its seed; 0: as asked.
M3D_EMULATED_API int emulated_cuda_set_order(const char* threads, const char* blocks,
                                             uint64_t seed);

/// Every launch in several orders, from the same memory: it fails if the results are not the same
/// bits in all memory that was registered and that its arguments point into.
M3D_EMULATED_API void emulated_cuda_set_repeat(int on);

/// Launches that were accepted so far, by the process; and what the last one was.
M3D_EMULATED_API uint64_t emulated_cuda_launches();
M3D_EMULATED_API const char* emulated_cuda_last_kernel();
M3D_EMULATED_API uintptr_t emulated_cuda_last_stream();
M3D_EMULATED_API int emulated_cuda_last_device();
/// Forgets and gives the calling thread's last error (0: none), and its words.
M3D_EMULATED_API int emulated_cuda_take_error();
M3D_EMULATED_API const char* emulated_cuda_error_text();
