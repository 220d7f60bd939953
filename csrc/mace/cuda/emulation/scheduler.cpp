// SPDX-License-Identifier: GPL-2.0-or-later
// Which thread of a block runs next. A thread that waits hands over to the next one itself; one that returns leaves its fiber to a thread
// that has not begun, so that a kernel without barriers costs no change of stacks.
#include "mace/cuda/emulation/machine.h"

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulation {

Thread threads[MOST_THREADS];
int current, n_threads;
unsigned in_warp[MOST_THREADS / WARP_LANES];

namespace {

constexpr const char *STATUS[] = {"ready", "at __syncthreads", "in a warp's exchange", "returned"};

Fiber host, fibers[2 * MOST_THREADS];        // those that look for races need others in the next block
Fiber *idle[MOST_THREADS];
int ready[MOST_THREADS], n_idle, n_ready, n_at_barrier, n_done;
unsigned generation;                         // barriers that the block has passed
const std::function<void()> *body;

std::uint64_t below(std::uint64_t n)         // random
{
  static std::uint64_t bits = static_cast<std::uint64_t>(setting("SEED", 1)) * 0x9e3779b97f4a7c15 + 1;
  bits = bits * 6364136223846793005 + 1442695040888963407;
  return (bits >> 33) * n >> 31;
}

[[noreturn]] void stuck(const char *why)
{
  std::map<std::string, int> found;
  for (const Thread *t = threads; t < threads + n_threads; ++t)
    ++found[STATUS[t->status] + (t->status == DONE ? "" : std::string(", ") + t->site.file + ":" + std::to_string(t->site.line))];
  std::string text;
  for (const auto &entry : found) text += "\n  " + std::to_string(entry.second) + " threads " + entry.first;
  fail("block (%u,%u,%u): %s%s", blockIdx.x, blockIdx.y, blockIdx.z, why, text.c_str());
}

void pass_barrier()
{
  for (int t = 0; t < n_threads; ++t) {
    if (threads[t].status == IN_WARP) stuck("lanes wait for lanes that do not come");
    const Site &site = threads[t].site, &first = threads[0].site;
    if (threads[t].status != AT_BARRIER || site.line != first.line || (site.file != first.file && std::strcmp(site.file, first.file)))
      stuck("__syncthreads is not reached by all threads");
  }
  for (int t = 0; t < n_threads; ++t) threads[t].status = READY, ready[t] = t;
  n_ready = n_threads, n_at_barrier = 0, ++generation;
}

void hand_over(Fiber &self, bool returned)
{
  if (n_ready == 0 && n_done < n_threads) pass_barrier();
  if (n_ready == 0) return jump(self, host);
  const int place = static_cast<int>(below(n_ready));
  current = ready[place], ready[place] = ready[--n_ready];
  Thread &next = threads[current];
  threadIdx = next.index;
  const bool reuse = returned && !RACES;
  if (!next.fiber) next.fiber = reuse ? &self : idle[--n_idle];
  else if (reuse) idle[n_idle++] = &self;
  if (next.fiber != &self) jump(self, *next.fiber);
}

void enter()
{
  for (arrive();; leave(DONE)) {
    LMP_UQ_TAKE(&host);
    (*body)();
    LMP_UQ_GIVE(&fibers);
  }
}

void run_block(int number)
{
  n_idle = n_ready = n_threads, n_at_barrier = n_done = 0, generation = 0;
  for (int t = 0; t < n_threads; ++t) {
    threads[t].status = READY, threads[t].fiber = nullptr, ready[t] = t;
    idle[n_threads - 1 - t] = &fibers[t + (RACES ? number % 2 * MOST_THREADS : 0)];
    if (!idle[n_threads - 1 - t]->stack) make_fiber(*idle[n_threads - 1 - t], enter);
  }
  std::fill(in_warp, in_warp + MOST_THREADS / WARP_LANES, 0u);
  begin_block(2 + 2 * n_threads);
  LMP_UQ_GIVE(&host);
  hand_over(host, false);
}

}    // namespace

void wake(int thread) { threads[thread].status = READY, ready[n_ready++] = thread; }

void leave(Status status)
{
  Thread &me = threads[current];
  me.status = status;
  if (status == DONE) ++n_done;
  hand_over(*me.fiber, status == DONE);
}

void barrier(Site site)
{
  char *order = orders + generation % 2;    // alternate: else a fast thread's next phase would come before a slow one's last
  threads[current].site = site;
  LMP_UQ_GIVE(order);
  leave(AT_BARRIER);
  LMP_UQ_TAKE(order);
}

void run(dim3 grid, dim3 block, const std::function<void()> &f)
{
  make_host(host);
  blockDim = block, gridDim = grid, body = &f, n_threads = static_cast<int>(block.x * block.y * block.z);
  for (unsigned t = 0; t < static_cast<unsigned>(n_threads); ++t)
    threads[t].index = {t % block.x, t / block.x % block.y, t / (block.x * block.y)};
  const std::uint64_t n = std::uint64_t{grid.x} * grid.y * grid.z, first = below(n);
  std::uint64_t step = 1 + below(n);    // an order of blocks that needs no table
  while (std::gcd(step, n) != 1) ++step;
  for (std::uint64_t k = 0, b = first; k < n; ++k, b = (b + step) % n) {
    blockIdx = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y), static_cast<unsigned>(b / grid.x / grid.y)};
    run_block(static_cast<int>(k % 2));
  }
  LMP_UQ_TAKE(&fibers);
}

}    // namespace emulation
