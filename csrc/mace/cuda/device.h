// SPDX-License-Identifier: GPL-2.0-or-later
// CUDA, or the same on the CPU: the only header that a kernel file includes for its language. Kernels are plain CUDA but for two words,
// LMP_UQ_SHARED and LMP_UQ_DYNAMIC_SHARED, and are launched by launch(), which needs no <<< >>>.
#ifndef LMP_UQ_DEVICE_H
#define LMP_UQ_DEVICE_H

#ifdef __CUDACC__
#include <cuda_runtime.h>
#define LMP_UQ_SHARED(type, name) __shared__ type name
#define LMP_UQ_DYNAMIC_SHARED(type, name)                         \
  extern __shared__ __align__(16) unsigned char lmp_uq_dynamic[]; \
  type *const name = reinterpret_cast<type *>(lmp_uq_dynamic)
#else
#include "mace/cuda/emulation/emulation.h"
#endif
#include "formulas/hd.h"

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace lmp_uq {

constexpr unsigned WHOLE_WARP = 0xffffffffu;
constexpr int WARP = 32;
constexpr std::size_t FREE_SHARED = 48 << 10;    // bytes a block gets without asking

struct CudaError : std::runtime_error {
  cudaError_t error;
  CudaError(cudaError_t e, const std::string &text) : std::runtime_error(text), error(e) {}
};

inline void require(cudaError_t error)
{
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());    // which would be found again by whoever asks next
  throw CudaError(error, std::string("CUDA: ") + cudaGetErrorString(error));
}

template <class... P, class... A>
void launch(cudaStream_t stream, void (*kernel)(P...), dim3 blocks, int n_threads, std::size_t dynamic_shared, A &&...a)
{
  if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0) return;    // a rank without atoms; CUDA refuses empty grids
  if (dynamic_shared > FREE_SHARED)
    require(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(dynamic_shared)));
  cudaLaunchConfig_t config = {};
  config.gridDim = blocks, config.blockDim = dim3(n_threads), config.dynamicSmemBytes = dynamic_shared, config.stream = stream;
  require(cudaLaunchKernelEx(&config, kernel, std::forward<A>(a)...));
}

namespace detail {

// arrays of this process that a device has made so far: while it stays, all addresses do
inline std::atomic<std::uintptr_t> &n_moves()
{
  static std::atomic<std::uintptr_t> n{0};
  return n;
}

struct OnDevice {
  static void *make(std::size_t bytes)
  {
    void *p = nullptr;
    const cudaError_t error = cudaMalloc(&p, bytes);
    ++n_moves();
    if (error != cudaErrorMemoryAllocation) return require(error), p;
    std::size_t free = 0, total = 0;
    static_cast<void>(cudaGetLastError()), static_cast<void>(cudaMemGetInfo(&free, &total));
    const auto mb = [](std::size_t n) { return std::to_string(n >> 20) + " MB"; };
    throw CudaError(error, "out of device memory: no room for an array of " + mb(bytes + (1 << 20) - 1) + ", free are " + mb(free) + " of " + mb(total));
  }
  static void free(void *p) { static_cast<void>(cudaFree(p)); }
};

struct Pinned {
  static void *make(std::size_t bytes)
  {
    void *p = nullptr;
    return require(cudaMallocHost(&p, bytes)), p;
  }
  static void free(void *p) { static_cast<void>(cudaFreeHost(p)); }
};

// Grows, never shrinks: its address is the same until it grows, so that a graph that was captured with it stays right.
template <class T, class Memory> class Array {
  static_assert(std::is_trivially_copyable_v<T>, "copied as bytes");

 public:
  Array() = default;
  explicit Array(std::size_t n) { resize(n); }
  Array(Array &&other) noexcept { swap(other); }
  Array &operator=(Array &&other) noexcept { return Array(std::move(other)).swap(*this), *this; }
  ~Array() { Memory::free(p); }
  void swap(Array &other) noexcept { std::swap(p, other.p), std::swap(n, other.n), std::swap(room, other.room); }

  // Keeps nothing of what was there. Whether the address has changed.
  bool resize(std::size_t size)
  {
    n = size;
    if (size <= room) return false;
    Memory::free(std::exchange(p, nullptr)), room = 0;    // first, so that both need not fit
    p = static_cast<T *>(Memory::make(size * sizeof(T))), room = size;
    return true;
  }

  T *data() { return p; }
  const T *data() const { return p; }
  std::size_t size() const { return n; }
  std::size_t bytes() const { return room * sizeof(T); }    // held

 protected:
  T *p = nullptr;
  std::size_t n = 0, room = 0;
};

}    // namespace detail

// Memory of the device that is set. Copies are in the order of their stream; pageable host memory may be used again at once, pinned not.
template <class T> struct DeviceArray : detail::Array<T, detail::OnDevice> {
  using detail::Array<T, detail::OnDevice>::Array;
  explicit DeviceArray(const std::vector<T> &from, cudaStream_t stream = nullptr) { upload(from, stream); }

  bool upload(const T *from, std::size_t size, cudaStream_t stream = nullptr)    // whether the address has changed
  {
    const bool moved = this->resize(size);
    if (size) require(cudaMemcpyAsync(this->p, from, size * sizeof(T), cudaMemcpyHostToDevice, stream));
    return moved;
  }
  bool upload(const std::vector<T> &from, cudaStream_t stream = nullptr) { return upload(from.data(), from.size(), stream); }
  void zero(cudaStream_t stream = nullptr)
  {
    if (this->n) require(cudaMemsetAsync(this->p, 0, this->n * sizeof(T), stream));
  }
  void download(T *to, std::size_t size, cudaStream_t stream = nullptr) const    // there when the stream is synchronized
  {
    if (size) require(cudaMemcpyAsync(to, this->p, size * sizeof(T), cudaMemcpyDeviceToHost, stream));
  }
  std::vector<T> to_host(cudaStream_t stream = nullptr) const
  {
    std::vector<T> out(this->n);
    download(out.data(), this->n, stream);
    require(cudaStreamSynchronize(stream));
    return out;
  }
};

// Host memory that a device copies without a detour, and reads and writes itself.
template <class T> struct PinnedArray : detail::Array<T, detail::Pinned> {
  using detail::Array<T, detail::Pinned>::Array;
  T &operator[](std::size_t k) { return this->p[k]; }
  const T &operator[](std::size_t k) const { return this->p[k]; }
};

// Sums and maxima over a warp, in every lane, and over a block of whole warps, in every thread: in an order that no timing changes.
template <class T> __device__ inline T warp_sum(T v)
{
  for (int bits = WARP / 2; bits > 0; bits /= 2) v += __shfl_xor_sync(WHOLE_WARP, v, bits);
  return v;
}

template <class T> __device__ inline T warp_max(T v)    // of float or double; NaNs are passed over
{
  for (int bits = WARP / 2; bits > 0; bits /= 2) v = fmax(v, __shfl_xor_sync(WHOLE_WARP, v, bits));
  return v;
}

// of_warp: shared, a number for each warp, free for other use after the next barrier
template <class T> __device__ inline T block_sum(T v, T *of_warp)
{
  v = warp_sum(v);
  if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = v;
  __syncthreads();
  T sum = of_warp[0];
  for (int w = 1; w < static_cast<int>(blockDim.x) / WARP; ++w) sum += of_warp[w];
  return sum;
}

}    // namespace lmp_uq
#endif
