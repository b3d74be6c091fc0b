// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
// Threads of the CPU backend: a pool of our own, so that a busy or forked machine is no problem.
//
//   share(n, team, [&](Index begin, Index end, int worker) { ... });
//
// The range is cut into pieces, which the caller and up to team - 1 threads of the pool take when
// they are free. The caller never waits for a thread that has not begun: where other programs keep
// the processors, it does the work alone. Threads sleep when there is nothing to do. (OpenMP waits
// for every thread at every barrier, spinning: with one of two processors taken by another program
// that is many times slower than one thread. And in a forked child it waits for ever.)
#include "core/config.hpp" // for Index

namespace micro3d {

constexpr int most_threads = 1024;

/// The number of threads that `threads` stands for; 0: OMP_NUM_THREADS, or the processors that this
/// process may run on.
int thread_number(int threads);

/// A body and the function that calls it for the elements begin ... end - 1; `worker` lies in
/// 0 ... team - 1, and no two calls at the same time have the same.
struct SharedWork {
  const void* body;
  void (*call)(const void* body, Index begin, Index end, int worker);
};
void share_work(Index n, int team, const SharedWork& work);

/// Calls body(begin, end, worker) for pieces that cover 0 ... n - 1. What a body throws is thrown
/// here when all threads have stopped.
template <class Body> void share(Index n, int team, const Body& body) {
  if (n <= 0)
    return;
  if (team <= 1 || n == 1)
    return body(Index(0), n, 0);
  share_work(n, team, {&body, [](const void* given, Index begin, Index end, int worker) {
                         (*static_cast<const Body*>(given))(begin, end, worker);
                       }});
}

} // namespace micro3d
