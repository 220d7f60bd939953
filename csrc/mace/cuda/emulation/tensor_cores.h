// SPDX-License-Identifier: GPL-2.0-or-later
// The products of mace/cuda/tensor_cores.h by shuffles. Sums are cut off, not rounded: CUDA leaves it open, and devices are reported to.
#ifndef LMP_UQ_EMULATION_TENSOR_CORES_H
#define LMP_UQ_EMULATION_TENSOR_CORES_H

#include "mace/cuda/emulation/emulation.h"

inline float __uint_as_float(unsigned bits)
{
  float v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

inline unsigned __float_as_uint(float v)
{
  unsigned bits;
  std::memcpy(&bits, &v, sizeof bits);
  return bits;
}

namespace emulation {

constexpr unsigned OF_TF32 = 0xffffe000;

inline float cut_off(double v)
{
  const float nearest = static_cast<float>(v);
  return std::fabs(nearest) > std::fabs(v) ? std::nextafter(nearest, 0.0f) : nearest;
}

inline double of_tf32(std::uint64_t bits) { return static_cast<double>(__uint_as_float(static_cast<unsigned>(bits) & OF_TF32)); }

}    // namespace emulation

namespace lmp_uq::cuda {

inline unsigned to_tf32(float v)
{
  const unsigned bits = __float_as_uint(v);
  return std::isfinite(v) ? (bits + 0x1000) & emulation::OF_TF32 : bits;
}

inline void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], LMP_UQ_HERE)
{
  const auto pair = [](unsigned first, unsigned second) { return std::uint64_t{second} << 32 | first; };
  const int g = emulation::lane() / 4, t = emulation::lane() % 4;
  double sum[4] = {c[0], c[1], c[2], c[3]};
  for (int k = 0; k < 8; ++k) {
    const std::uint64_t rows = __shfl_sync(0xffffffffu, pair(a[k / 4 * 2], a[k / 4 * 2 + 1]), g * 4 + k % 4, 32, file, line);
    for (int n = 0; n < 2; ++n) {
      const double of_b = emulation::of_tf32(__shfl_sync(0xffffffffu, b[k / 4], (2 * t + n) * 4 + k % 4, 32, file, line));
      sum[n] += emulation::of_tf32(rows) * of_b, sum[2 + n] += emulation::of_tf32(rows >> 32) * of_b;
    }
  }
  for (int q = 0; q < 4; ++q) c[q] = emulation::cut_off(sum[q]);
}

}    // namespace lmp_uq::cuda
#endif
