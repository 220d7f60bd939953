// SPDX-License-Identifier: GPL-2.0-or-later
// Real spherical harmonics of a unit vector, degrees 0 to 3, sum_m Y_lm^2 = 2l+1, in the order and the axes of e3nn (polar axis y,
// azimuth from z to x; component l*l+l+m), and their gradients, in either precision. Geiger et al., arXiv:2207.09453.
#ifndef LMP_UQ_HARMONICS_H
#define LMP_UQ_HARMONICS_H

#include "formulas/hd.h"

namespace lmp_uq {

// Factors of the components, by degree; the numbers of the polynomials are whole, so that either precision stays what it is.
template <class T> struct HarmonicFactors {
  static constexpr double SQRT3 = 1.7320508075688772, SQRT5 = 2.2360679774997896, SQRT7 = 2.6457513110645907;
  static constexpr double SQRT15 = 3.872983346207417, SQRT5_8 = 0.7905694150420949, SQRT3_8 = 0.6123724356957945;
  static constexpr T ONE = T(SQRT3);
  static constexpr T TWO = T(SQRT15), TWO_0 = T(0.5 * SQRT5), TWO_2 = T(0.5 * SQRT15);
  static constexpr T THREE = T(SQRT7 * SQRT15), THREE_0 = T(0.5 * SQRT7), THREE_1 = T(SQRT7 * SQRT3_8);
  static constexpr T THREE_2 = T(0.5 * SQRT7 * SQRT15), THREE_3 = T(SQRT7 * SQRT5_8);
};

// values (l_max+1)^2 at the unit vector u
template <class T> LMP_UQ_HD void harmonics(const T u[3], int l_max, T *value)
{
  using F = HarmonicFactors<T>;
  const T x = u[0], y = u[1], z = u[2];
  value[0] = 1;
  if (l_max < 1) return;
  value[1] = F::ONE * x;
  value[2] = F::ONE * y;
  value[3] = F::ONE * z;
  if (l_max < 2) return;
  value[4] = F::TWO * x * z;
  value[5] = F::TWO * x * y;
  value[6] = F::TWO_0 * (3 * y * y - 1);
  value[7] = F::TWO * y * z;
  value[8] = F::TWO_2 * (z * z - x * x);
  if (l_max < 3) return;
  value[9] = F::THREE_3 * x * (3 * z * z - x * x);
  value[10] = F::THREE * x * y * z;
  value[11] = F::THREE_1 * x * (5 * y * y - 1);
  value[12] = F::THREE_0 * y * (5 * y * y - 3);
  value[13] = F::THREE_1 * z * (5 * y * y - 1);
  value[14] = F::THREE_2 * y * (z * z - x * x);
  value[15] = F::THREE_3 * z * (z * z - 3 * x * x);
}

// gradient of sum_lm weight_lm Y_lm with respect to u, the polynomials above taken as functions on all space; its part along u
// depends on that choice and has to be projected out
template <class T> LMP_UQ_HD void harmonics_gradient(const T u[3], int l_max, const T *weight, T gradient[3])
{
  using F = HarmonicFactors<T>;
  const T x = u[0], y = u[1], z = u[2];
  T gx = 0, gy = 0, gz = 0;
  if (l_max >= 1) {
    gx += F::ONE * weight[1];
    gy += F::ONE * weight[2];
    gz += F::ONE * weight[3];
  }
  if (l_max >= 2) {
    gx += F::TWO * (weight[4] * z + weight[5] * y - weight[8] * x);
    gy += F::TWO * (weight[5] * x + weight[7] * z) + 6 * F::TWO_0 * weight[6] * y;
    gz += F::TWO * (weight[4] * x + weight[7] * y + weight[8] * z);
  }
  if (l_max >= 3) {
    const T a = F::THREE_3, b = F::THREE, half = F::THREE_2, c = F::THREE_1;
    gx += a * (3 * (z * z - x * x) * weight[9] - 6 * x * z * weight[15]) + b * (y * z * weight[10] - x * y * weight[14]) +
        c * (5 * y * y - 1) * weight[11];
    gy += b * x * z * weight[10] + half * (z * z - x * x) * weight[14] + 10 * c * y * (x * weight[11] + z * weight[13]) +
        3 * F::THREE_0 * (5 * y * y - 1) * weight[12];
    gz += a * (6 * x * z * weight[9] + 3 * (z * z - x * x) * weight[15]) + b * (x * y * weight[10] + y * z * weight[14]) +
        c * (5 * y * y - 1) * weight[13];
  }
  gradient[0] = gx;
  gradient[1] = gy;
  gradient[2] = gz;
}

}    // namespace lmp_uq
#endif
