// SPDX-License-Identifier: GPL-2.0-or-later
// Work shared out over the threads of this process. Who does what depends on the number of threads alone: the same run gives the same bits.
#ifndef LMP_UQ_THREADS_H
#define LMP_UQ_THREADS_H

#include <chrono>
#include <cstdint>
#include <exception>

#ifdef _OPENMP
#include <omp.h>
#include <pthread.h>
#endif

namespace lmp_uq {

constexpr int MAX_THREADS = 1024;    // OpenMP ends the process where the system gives no more threads

// threads that OpenMP would use here (OMP_NUM_THREADS, else the processors); 1 in a build without OpenMP
inline int available_threads()
{
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

#ifdef _OPENMP
// true in a process that fork() made after the first call: OpenMP would wait there for threads that were not copied
inline bool &forked_with_threads()
{
  static bool forked = (pthread_atfork(nullptr, nullptr, [] { forked_with_threads() = true; }), false);
  return forked;
}
#endif

// Seconds that this thread was inside in_parallel(): all else of a step is its serial share. Wall time, as the system takes longer to say the
// CPU time of a thread than small systems need for many of their loops.
inline double &shared_out_seconds()
{
  static thread_local double seconds = 0.0;
  return seconds;
}

class SharedOutClock {
 public:
  SharedOutClock() : start_(now()) {}
  ~SharedOutClock() { shared_out_seconds() += now() - start_; }
  SharedOutClock(const SharedOutClock &) = delete;
  SharedOutClock &operator=(const SharedOutClock &) = delete;

 private:
  static double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
  double start_;
};

// f(part) for each part 0..n-1, a thread each where there are so many. The exception of the first part that fails is thrown here.
template <class F> void in_parallel(int n, const F &f)
{
  const SharedOutClock clock;
  if (n <= 1) {    // makes no threads
    if (n == 1) f(0);
    return;
  }
  std::exception_ptr failure;
  int failed = n;
#ifdef _OPENMP
#pragma omp parallel for num_threads(n) schedule(static, 1) if (!forked_with_threads())
#endif
  for (int part = 0; part < n; ++part) {
    try {
      f(part);
    } catch (...) {
#ifdef _OPENMP
#pragma omp critical(lmp_uq_failure)
#endif
      if (part < failed) {
        failed = part;
        failure = std::current_exception();
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
}

// f(first, last) on consecutive ranges that make up 0..n_rows
template <class F> void over_rows(int n_threads, std::int64_t n_rows, const F &f)
{
  in_parallel(n_threads, [&](int part) { f(n_rows * part / n_threads, n_rows * (part + 1) / n_threads); });
}

}    // namespace lmp_uq
#endif
