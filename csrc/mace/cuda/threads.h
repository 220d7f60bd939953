// SPDX-License-Identifier: GPL-2.0-or-later
// Launches of one thread for each of n things.
#ifndef LMP_UQ_CUDA_THREADS_H
#define LMP_UQ_CUDA_THREADS_H

#include "mace/cuda/device.h"

#include <cstddef>

namespace lmp_uq::cuda {

template <class... P, class A> void launch_threads(void (*kernel)(P...), std::size_t n, cudaStream_t stream, const A &a)
{
  constexpr int threads = 128;
  launch(stream, kernel, static_cast<int>((n + threads - 1) / threads), threads, 0, a);
}

__device__ inline std::size_t thread_number() { return static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

}    // namespace lmp_uq::cuda
#endif
