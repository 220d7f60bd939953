// SPDX-License-Identifier: GPL-2.0-or-later
// Products on tensor cores, of numbers of 11 significant bits (TF32, bits of a float32 whose last 13 do not count).
// A warp multiplies matrices of 16 x 8 and 8 x 8 numbers. With g = lane / 4 and t = lane % 4, a lane holds of
//   a   rows g, g + 8, g, g + 8 in columns t, t, t + 4, t + 4
//   b   rows t, t + 4 in column g
//   c   rows g, g, g + 8, g + 8 in columns 2 t, 2 t + 1, 2 t, 2 t + 1
#ifndef LMP_UQ_CUDA_TENSOR_CORES_H
#define LMP_UQ_CUDA_TENSOR_CORES_H

#include "mace/cuda/device.h"

#ifdef __CUDACC__
namespace lmp_uq::cuda {

__device__ inline unsigned to_tf32(float v)    // the nearest
{
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(v));
  return bits;
}

// c += a b; how sums are rounded is open
__device__ inline void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}    // namespace lmp_uq::cuda
#else
#include "mace/cuda/emulation/tensor_cores.h"
#endif
#endif
