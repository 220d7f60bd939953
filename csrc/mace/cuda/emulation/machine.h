// SPDX-License-Identifier: GPL-2.0-or-later
// What the parts of the emulation share. They are compiled without -fsanitize but with LMP_UQ_ASAN or LMP_UQ_TSAN, and linked with it: what
// happens in here is the hardware's part, not the kernel's. Code that runs on a thread's fiber uses plain arrays only: a template of the
// standard library could be the kernel file's instance, whose accesses ThreadSanitizer sees.
#ifndef LMP_UQ_EMULATION_MACHINE_H
#define LMP_UQ_EMULATION_MACHINE_H

#include "mace/cuda/emulation/emulation.h"

#include <mutex>
#if !defined(__x86_64__) || defined(LMP_UQ_SWAPCONTEXT)
#include <ucontext.h>
#endif
#ifdef LMP_UQ_ASAN
#include <sanitizer/asan_interface.h>
#define LMP_UQ_CLOSE __asan_poison_memory_region
#define LMP_UQ_OPEN __asan_unpoison_memory_region
#else
#define LMP_UQ_CLOSE(p, n) static_cast<void>(0)
#define LMP_UQ_OPEN(p, n) static_cast<void>(0)
#endif
#ifdef LMP_UQ_TSAN
#include <sanitizer/tsan_interface.h>
#define LMP_UQ_GIVE(p) __tsan_release(p)
#define LMP_UQ_TAKE(p) __tsan_acquire(p)
#else
#define LMP_UQ_GIVE(p) static_cast<void>(p)
#define LMP_UQ_TAKE(p) static_cast<void>(p)
#endif

namespace emulation {

#ifdef LMP_UQ_TSAN
constexpr bool RACES = true;    // no thread gets another's fiber, no block another's shared memory
#else
constexpr bool RACES = false;
#endif
constexpr int MOST_THREADS = 1024, WARP_LANES = 32, POISON = -1;    // POISON: all bits, NaN as a number, -1 as an integer

// Threads of the host may call at once; there is one machine. Held by all that looks into it or runs on it.
struct Alone {
  Alone();
  std::unique_lock<std::recursive_mutex> held;
};

// ---- fibers.cpp
struct Fiber {
  char *stack = nullptr;    // lowest byte; nullptr: not made
  std::size_t bytes = 0;
  void *tsan = nullptr;
#if !defined(__x86_64__) || defined(LMP_UQ_SWAPCONTEXT)
  ucontext_t registers;
#else
  void *registers = nullptr;    // where on the stack they lie
#endif
};
void make_fiber(Fiber &f, void (*enter)());
void make_host(Fiber &f);                      // of the thread that calls
void jump(Fiber &from, Fiber &to);             // returns when somebody jumps to `from`
void arrive(void *fake_stack = nullptr);       // first word of what a new fiber runs

// ---- scheduler.cpp
enum Status { READY, AT_BARRIER, IN_WARP, DONE };
struct Thread {
  uint3 index;
  Fiber *fiber;    // nullptr: has not begun
  Status status;
  Site site;
  unsigned mask;   // the rest: what meet() was asked for
  Exchange what;
  std::uint64_t value, result;
  int from;
};
extern Thread threads[MOST_THREADS];
extern int current, n_threads;
extern unsigned in_warp[MOST_THREADS / WARP_LANES];    // lanes with IN_WARP, of each warp
void leave(Status status);                             // returns when the thread is READY and its turn comes
void wake(int thread);
void run(dim3 grid, dim3 block, const std::function<void()> &body);
long setting(const char *name, long otherwise);        // of LMP_UQ_EMULATION_name

// ---- memory.cpp
extern char *orders;    // RACES: addresses that stand for orders: even and odd barriers, then two for each thread
void check_shared(const void *kernel, std::size_t dynamic_bytes);
void begin_launch(std::size_t dynamic_bytes);
void begin_block(int n_orders);
void open_device(bool open);    // the host may not touch device memory, kernels may
bool still_there(const Uses &uses);

// ---- runtime.cpp, streams.cpp
cudaError_t remember(cudaError_t error);         // for cudaGetLastError
cudaError_t state();                             // of driver and device: the error that every call gives
void note(const char *what, std::size_t n);        // a line of the file LMP_UQ_EMULATION_NOTES
cudaError_t submit(cudaStream_t stream, std::function<void()> work, Uses uses);
bool capturing();
void finish_all();    // what was asked of any stream

}    // namespace emulation
#endif
