// SPDX-License-Identifier: GPL-2.0-or-later
// Shared memory of a block, device memory, pinned memory. Each begins as NaN; under AddressSanitizer their ends are guarded.
#include "mace/cuda/emulation/machine.h"

#include <cstdlib>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace emulation {

char *orders;

namespace {

constexpr std::size_t GUARD = 64, ROOM = 256, STATIC_SHARED = 48 << 10, ALL_SHARED = 227 << 10, ARENA = std::size_t{1} << 30;
constexpr int MOST_VARIABLES = 64;

struct Variable { Site site; char *data; };
Variable variables[MOST_VARIABLES];                 // shared ones of the block that runs
char *arena, *arena_end, *dynamic_data;             // where the next one lies
std::size_t dynamic_bytes, static_bytes;
int n_variables;
std::map<const void *, std::size_t> allowed_shared;

struct Allocation { std::size_t bytes; int device; unsigned long number; };
using Allocations = std::map<const char *, Allocation>;
Allocations &device_memory = *new Allocations, &pinned_memory = *new Allocations;    // never gone: arrays are freed when the program ends
std::map<int, std::size_t> &allocated = *new std::map<int, std::size_t>;             // bytes of each device
unsigned long n_allocations;

char *guarded(std::size_t bytes)
{
  char *data = arena_end + GUARD;
  arena_end = data + (bytes + GUARD + ROOM - 1) / ROOM * ROOM;
  if (arena_end > arena + ARENA) fail("a launch of %zu MB of shared memory is too large for a test", ARENA >> 20);
  LMP_UQ_CLOSE(data - GUARD, bytes + 2 * GUARD);
  LMP_UQ_OPEN(data, bytes);
  std::size_t k = 0;    // no memset, which sanitizers would see
  for (; k + 8 <= bytes; k += 8) *reinterpret_cast<volatile std::int64_t *>(data + k) = POISON;
  for (; k < bytes; ++k) const_cast<volatile char *>(data)[k] = POISON;
  return data;
}

// the allocation in which these bytes lie, or nullptr
const Allocations::value_type *find(const Allocations &all, const void *p, std::size_t bytes)
{
  auto a = all.upper_bound(static_cast<const char *>(p));
  if (a == all.begin()) return nullptr;
  --a;
  return static_cast<const char *>(p) + bytes <= a->first + a->second.bytes ? &*a : nullptr;
}

int chosen_device() { int device = 0; return cudaGetDevice(&device), device; }

void add_use(Uses &uses, const void *p, std::size_t bytes)
{
  if (!capturing()) return;
  if (const auto *a = find(device_memory, p, bytes)) uses[a->first] = a->second.number;
  else if (const auto *b = find(pinned_memory, p, bytes)) uses[b->first] = b->second.number;
}

}    // namespace

// ---- shared memory

void check_shared(const void *kernel, std::size_t bytes)
{
  const auto allowed = allowed_shared.find(kernel);
  const std::size_t most = allowed == allowed_shared.end() ? STATIC_SHARED : allowed->second;
  if (bytes > most) fail("%zu bytes of dynamic shared memory were not asked for", bytes);
}

void begin_launch(std::size_t bytes)
{
  constexpr int MAY = PROT_READ | PROT_WRITE, HOW = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  if (!arena) arena = reinterpret_cast<char *>(syscall(SYS_mmap, nullptr, ARENA, MAY, HOW, -1, 0));    // unseen by sanitizers
  arena_end = arena, dynamic_bytes = bytes;
}

void begin_block(int n_orders)
{
  n_variables = 0, static_bytes = 0, dynamic_data = nullptr;
  if (!RACES) arena_end = arena;
  else orders = guarded(n_orders);
}

void *shared(Site site, std::size_t bytes)
{
  for (const Variable *v = variables; v < variables + n_variables; ++v)
    if (v->site.line == site.line && (v->site.file == site.file || std::strcmp(v->site.file, site.file) == 0)) return v->data;
  static_bytes += bytes;
  if (static_bytes > STATIC_SHARED || static_bytes + dynamic_bytes > ALL_SHARED || n_variables == MOST_VARIABLES)
    fail("%s:%d: too much shared memory, %zu bytes", site.file, site.line, static_bytes + dynamic_bytes);
  variables[n_variables] = {site, guarded(bytes)};
  return variables[n_variables++].data;
}

void *dynamic_shared()
{
  if (!dynamic_data && dynamic_bytes) dynamic_data = guarded(dynamic_bytes);
  return dynamic_data;
}

cudaError_t allow_shared(const void *kernel, std::size_t bytes)
{
  const Alone alone;
  if (bytes > ALL_SHARED) return remember(cudaErrorInvalidValue);
  allowed_shared[kernel] = bytes;
  return cudaSuccess;
}

// ---- device memory

void open_device(bool open)
{
#ifdef LMP_UQ_ASAN
  for (const auto &a : device_memory) open ? LMP_UQ_OPEN(a.first, a.second.bytes) : LMP_UQ_CLOSE(a.first, a.second.bytes);
#else
  static_cast<void>(open);
#endif
}

// A host pointer inside a kernel's argument works here, but not on a GPU. Code, heap and stacks lie above 0x55 << 40.
void check_pointers(const void *argument, std::size_t bytes, int number, Uses &uses)
{
  const Alone alone;
  const int device = chosen_device();
  for (std::size_t k = 0; k + 8 <= bytes; k += 8) {
    std::uint64_t word;
    std::memcpy(&word, static_cast<const char *>(argument) + k, 8);
    if (word < 0x550000000000 || word >> 47) continue;
    const void *p = reinterpret_cast<void *>(word);
    const auto *a = find(device_memory, p, 0);
    if (a && a->second.device != device) fail("argument %d of a kernel on device %d lies on device %d", number, device, a->second.device);
    if (a || find(pinned_memory, p, 0)) add_use(uses, p, 0);
    else if (msync(reinterpret_cast<void *>(word & ~4095ull), 1, MS_ASYNC) == 0)
      fail("argument %d of a kernel holds, at byte %zu, a pointer to host memory", number, k);
  }
}

bool still_there(const Uses &uses)
{
  return std::all_of(uses.begin(), uses.end(), [](const auto &use) {
    const auto in = [&](const auto &all) { const auto a = all.find(use.first); return a != all.end() && a->second.number == use.second; };
    return in(device_memory) || in(pinned_memory);
  });
}

}    // namespace emulation

using namespace emulation;

cudaError_t cudaMemGetInfo(std::size_t *free, std::size_t *total)
{
  const Alone alone;
  *total = static_cast<std::size_t>(setting("MEMORY_MB", 8192)) << 20;
  *free = *total - std::min(*total, allocated[chosen_device()]);
  return state();
}

cudaError_t cudaMalloc(void **p, std::size_t bytes)
{
  const Alone alone;
  std::size_t free, total;
  if (const cudaError_t error = cudaMemGetInfo(&free, &total)) return remember(error);
  if (capturing()) return remember(cudaErrorStreamCaptureUnsupported);
  char *base = bytes > free ? nullptr : static_cast<char *>(std::aligned_alloc(ROOM, (bytes + 3 * ROOM - 1) / ROOM * ROOM));
  if (!base) return remember(cudaErrorMemoryAllocation);
  std::memset(base, POISON, bytes + 2 * ROOM);
  LMP_UQ_CLOSE(base, bytes + 2 * ROOM);
  device_memory[base + ROOM] = {bytes, chosen_device(), ++n_allocations};
  allocated[chosen_device()] += bytes;
  *p = base + ROOM;
  return cudaSuccess;
}

cudaError_t cudaFree(void *p)
{
  const Alone alone;
  if (!p) return cudaSuccess;
  if (capturing()) return remember(cudaErrorStreamCaptureUnsupported);
  finish_all();
  const auto a = device_memory.find(static_cast<char *>(p));
  if (a == device_memory.end()) fail("cudaFree of what is no allocation");
  char *base = static_cast<char *>(p) - ROOM;
  LMP_UQ_OPEN(base, a->second.bytes + 2 * ROOM);
  allocated[a->second.device] -= a->second.bytes;
  std::free(base);
  device_memory.erase(a);
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void **p, std::size_t bytes)
{
  const Alone alone;
  if (const cudaError_t error = state()) return remember(error);
  *p = std::aligned_alloc(ROOM, (std::max<std::size_t>(bytes, 1) + ROOM - 1) / ROOM * ROOM);
  if (!*p) return remember(cudaErrorMemoryAllocation);
  std::memset(*p, POISON, bytes);
  pinned_memory[static_cast<char *>(*p)] = {bytes, -1, ++n_allocations};
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
  const Alone alone;
  finish_all();
  if (p && !pinned_memory.erase(static_cast<char *>(p))) fail("cudaFreeHost of what is no allocation");
  std::free(p);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
  const Alone alone;
  const bool to_device = find(device_memory, to, bytes), from_device = find(device_memory, from, bytes);
  if (bytes && kind != cudaMemcpyDefault && (to_device != (kind & 1) || from_device != (kind >> 1 & 1)))
    fail("cudaMemcpyAsync of %zu bytes, kind %d: not inside such memory", bytes, kind);
  if (!bytes) return cudaSuccess;
  if (to_device != from_device) note(to_device ? "to" : "from", bytes);
  Uses uses;
  add_use(uses, to, bytes), add_use(uses, from, bytes);
  const auto pageable = [&](const void *p) { return !capturing() && !find(device_memory, p, bytes) && !find(pinned_memory, p, bytes); };
  if (pageable(from)) {    // has been read when the call returns
    const char *first = static_cast<const char *>(from);
    return submit(stream, [to, kept = std::vector<char>(first, first + bytes)] { std::memcpy(to, kept.data(), kept.size()); }, uses);
  }
  const cudaError_t error = submit(stream, [=] { std::memcpy(to, from, bytes); }, uses);
  return error || !pageable(to) ? error : cudaStreamSynchronize(stream);    // has been written then
}

cudaError_t cudaMemcpy(void *to, const void *from, std::size_t bytes, cudaMemcpyKind kind)
{
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  return error ? error : cudaStreamSynchronize(nullptr);
}

cudaError_t cudaMemsetAsync(void *to, int byte, std::size_t bytes, cudaStream_t stream)
{
  const Alone alone;
  if (bytes && !find(device_memory, to, bytes)) fail("cudaMemsetAsync of %zu bytes: not inside device memory", bytes);
  Uses uses;
  add_use(uses, to, bytes);
  return submit(stream, [=] { if (bytes) std::memset(to, byte, bytes); }, uses);
}
