// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#include "core/threads.hpp"

#include <algorithm>          // for find_if, min
#include <atomic>             // for atomic
#include <condition_variable> // for condition_variable
#include <cstdlib>            // for getenv, strtol
#include <exception>          // for exception_ptr
#include <mutex>              // for mutex
#include <system_error>       // for system_error
#include <thread>             // for thread
#include <vector>             // for vector

#if defined(__linux__)
#include <sched.h> // for sched_getaffinity
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h> // for pthread_atfork
#endif

namespace micro3d {

namespace {

int default_threads() {
  if (const char* const wished = std::getenv("OMP_NUM_THREADS")) {
    const long n = std::strtol(wished, nullptr, 10); // of a list the first
    if (n > 0)
      return static_cast<int>(std::min<long>(n, most_threads));
  }
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    return CPU_COUNT(&set);
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/// One call of share(): every worker has pieces of its own, and helps the others when they are
/// done.
struct Job {
  struct alignas(64) Counter {
    std::atomic<Index> next{0};
  };
  static constexpr Index pieces_each = 4;

  const SharedWork& work;
  const Index n, pieces;
  const int team;
  std::vector<Counter> taken; // of the pieces of each worker
  int seats = 1;              // workers so far; the caller is worker 0
  std::atomic<int> active{0}; // of the pool's threads
  std::atomic<bool> failed{false};
  std::exception_ptr error;

  Job(const SharedWork& given, Index size, int wanted)
      : work(given), n(size), pieces(std::min(size, pieces_each * wanted)),
        team(static_cast<int>(std::min<Index>(wanted, pieces))), taken(std::size_t(team)) {}

  Index first_piece(int worker) const { return pieces * worker / team; }

  void run(int worker) {
    for (int k = 0; k < team; ++k) {
      const int owner = (worker + k) % team;
      const Index end = first_piece(owner + 1);
      std::atomic<Index>& next = taken[std::size_t(owner)].next;
      for (;;) {
        const Index piece = first_piece(owner) + next.fetch_add(1, std::memory_order_relaxed);
        if (piece >= end || failed.load(std::memory_order_relaxed))
          break;
        work.call(work.body, n * piece / pieces, n * (piece + 1) / pieces, worker);
      }
    }
  }
};

inline void pause() {
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
  __builtin_ia32_pause();
#endif
}
constexpr int spins = 300; // before a thread sleeps: some ten microseconds

/// Never destroyed: its threads may outlive static objects at exit.
class Pool {
 public:
  void run(Job& job) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      while (threads_ < job.team - 1 && start_thread())
        ++threads_;
      open_.push_back(&job);
      posted_.fetch_add(1, std::memory_order_release);
    }
    for (int i = 1; i < job.team; ++i)
      wake_.notify_one();
    attempt(job, 0);
    for (int i = 0; i < spins && job.active.load(std::memory_order_acquire) > 0; ++i)
      pause();
    std::unique_lock<std::mutex> lock(mutex_);
    open_.erase(std::find(open_.begin(), open_.end(), &job));
    done_.wait(lock, [&] { return job.active.load(std::memory_order_relaxed) == 0; });
    if (job.error)
      std::rethrow_exception(job.error);
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<Job*> open_;
  std::atomic<unsigned> posted_{0};
  int threads_ = 0;

  bool start_thread() {
    try {
      std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {
      return false; // no more threads for this process: the work is done by fewer
    }
    return true;
  }

  void attempt(Job& job, int worker) {
    try {
      job.run(worker);
    } catch (...) {
      job.failed = true;
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!job.error)
        job.error = std::current_exception();
    }
  }

  void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      const auto free = [](const Job* job) { return job->seats < job->team; };
      const auto found = std::find_if(open_.begin(), open_.end(), free);
      if (found == open_.end()) {
        sleep(lock);
        continue;
      }
      Job& job = **found;
      const int worker = job.seats++;
      job.active.fetch_add(1, std::memory_order_relaxed);
      lock.unlock();
      attempt(job, worker);
      lock.lock();
      if (job.active.fetch_sub(1, std::memory_order_release) == 1)
        done_.notify_all();
    }
  }

  void sleep(std::unique_lock<std::mutex>& lock) {
    const unsigned seen = posted_.load(std::memory_order_acquire);
    const auto is_new = [&] { return posted_.load(std::memory_order_acquire) != seen; };
    lock.unlock();
    for (int i = 0; i < spins && !is_new(); ++i)
      pause();
    lock.lock();
    wake_.wait(lock, is_new);
  }
};

std::atomic<Pool*> pool{nullptr};

/// The pool of this process. A forked child has none of its parent's threads, and begins anew.
Pool& get_pool() {
  static const bool prepared = [] {
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork(nullptr, nullptr, [] { pool.store(nullptr); });
#endif
    return true;
  }();
  (void)prepared;
  Pool* found = pool.load();
  if (found == nullptr) {
    Pool* const made = new Pool;
    if (pool.compare_exchange_strong(found, made))
      return *made;
    delete made; // another thread was faster
  }
  return *found;
}

} // namespace

int thread_number(int threads) {
  static const int all = default_threads();
  return threads > 0 ? threads : all;
}

void share_work(Index n, int team, const SharedWork& work) {
  Job job(work, n, team);
  get_pool().run(job);
}

} // namespace micro3d
