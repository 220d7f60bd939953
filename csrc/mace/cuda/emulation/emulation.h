// SPDX-License-Identifier: GPL-2.0-or-later
// CUDA on one CPU thread, for tests: a kernel's threads are fibers, blocks run one after the other. What a GPU leaves open is made to
// hurt: threads run in random order between barriers, lanes of a warp do not run in step, shared and device memory begin as NaN, their
// ends are guarded, and a launch that would fail or hang ends the program with a sentence that says where. Under -fsanitize=address every
// access outside shared or device memory is found, also the host's to device memory; under -fsanitize=thread every missing barrier.
// Absent on purpose, so that a kernel with them does not compile: atomics on floating-point numbers, whose order is open; __threadfence and
// grid-wide barriers, which it could not check.
#ifndef LMP_UQ_EMULATION_H
#define LMP_UQ_EMULATION_H

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define LMP_UQ_SHARED(type, name) type &name = *static_cast<type *>(emulation::shared({__FILE__, __LINE__}, sizeof(type)))
#define LMP_UQ_DYNAMIC_SHARED(type, name) type *const name = static_cast<type *>(emulation::dynamic_shared())
#define LMP_UQ_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

struct uint3 { unsigned x, y, z; };
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
extern uint3 threadIdx, blockIdx;    // of the fiber that runs
extern dim3 blockDim, gridDim;

namespace emulation {

struct Site { const char *file; int line; };    // where a barrier stands
enum class Exchange { Sync, Shuffle, Ballot };

void *shared(Site site, std::size_t bytes);
void *dynamic_shared();
void barrier(Site site);
// meets the lanes of mask; Shuffle: the value of lane `from`; Ballot: the lanes whose value is not 0
std::uint64_t meet(unsigned mask, Exchange what, std::uint64_t value, int from, Site site);
int lane();
int first_of_segment(int width);    // of `width` lanes, the one that this lane is in; fails on a width that is no power of two
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

template <class T> T shuffle(unsigned mask, T value, int from, Site site)
{
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "numbers of 4 or 8 bytes");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = meet(mask, Exchange::Shuffle, bits, from, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}    // namespace emulation

using std::max;
using std::min;
inline void __syncthreads(LMP_UQ_HERE) { emulation::barrier({file, line}); }
inline void __syncwarp(unsigned mask = 0xffffffffu, LMP_UQ_HERE) { emulation::meet(mask, emulation::Exchange::Sync, 0, 0, {file, line}); }
inline unsigned __ballot_sync(unsigned mask, int predicate, LMP_UQ_HERE)
{
  return static_cast<unsigned>(emulation::meet(mask, emulation::Exchange::Ballot, predicate != 0, 0, {file, line}));
}
inline int __any_sync(unsigned mask, int predicate, LMP_UQ_HERE) { return __ballot_sync(mask, predicate, file, line) != 0; }
inline int __all_sync(unsigned mask, int predicate, LMP_UQ_HERE) { return __ballot_sync(mask, !predicate, file, line) == 0; }

// Lanes beyond a segment's end: the own value, as on the device.
template <class T> T __shfl_sync(unsigned mask, T v, int from, int width = 32, LMP_UQ_HERE)
{
  return emulation::shuffle(mask, v, emulation::first_of_segment(width) + (from & (width - 1)), {file, line});
}
template <class T> T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, LMP_UQ_HERE)
{
  const int own = emulation::lane(), from = own - static_cast<int>(delta);
  return emulation::shuffle(mask, v, from < emulation::first_of_segment(width) ? own : from, {file, line});
}
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, LMP_UQ_HERE)
{
  const int own = emulation::lane(), from = own + static_cast<int>(delta);
  return emulation::shuffle(mask, v, from >= emulation::first_of_segment(width) + width ? own : from, {file, line});
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32, LMP_UQ_HERE)
{
  const int own = emulation::lane(), from = own ^ bits;
  return emulation::shuffle(mask, v, from >= emulation::first_of_segment(width) + width ? own : from, {file, line});
}

namespace emulation {
template <class T>
using Integer = std::enable_if_t<std::is_same_v<T, int> || std::is_same_v<T, unsigned> || std::is_same_v<T, unsigned long long>, T>;
template <class T> struct Same { using Type = T; };    // no deduction from it
template <class T> using Given = typename Same<T>::Type;

template <class T, class F> Integer<T> replace(T *p, const F &value)    // nobody comes between
{
  const T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  __atomic_store_n(p, static_cast<T>(value(old)), __ATOMIC_RELAXED);
  return old;
}

}    // namespace emulation

template <class T> T atomicAdd(T *p, emulation::Given<T> v) { return emulation::replace(p, [v](T old) { return old + v; }); }
template <class T> T atomicMax(T *p, emulation::Given<T> v) { return emulation::replace(p, [v](T old) { return max(old, v); }); }
template <class T> T atomicMin(T *p, emulation::Given<T> v) { return emulation::replace(p, [v](T old) { return min(old, v); }); }
template <class T> T atomicCAS(T *p, emulation::Given<T> compare, emulation::Given<T> v)
{
  return emulation::replace(p, [=](T old) { return old == compare ? v : old; });
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __clz(int bits) { return bits ? __builtin_clz(bits) : 32; }
template <class T> T __ldg(const T *p) { return *p; }

#include "mace/cuda/emulation/runtime.h"
#endif
