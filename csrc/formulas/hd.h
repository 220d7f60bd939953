// SPDX-License-Identifier: GPL-2.0-or-later
// Formulas are written once, for the host and for a device compiler.
#ifndef LMP_UQ_HD_H
#define LMP_UQ_HD_H

#ifdef __CUDACC__
#define LMP_UQ_HD __host__ __device__ inline
#define LMP_UQ_HD_ALWAYS __host__ __device__ __forceinline__
#else
#define LMP_UQ_HD inline
#define LMP_UQ_HD_ALWAYS inline __attribute__((always_inline))    // in loops whose arrays have to stay in registers
#endif

namespace lmp_uq {

constexpr int MAX_DEGREE = 3;                                    // of the edge harmonics
constexpr int MAX_HARMONICS = (MAX_DEGREE + 1) * (MAX_DEGREE + 1);

}    // namespace lmp_uq
#endif
