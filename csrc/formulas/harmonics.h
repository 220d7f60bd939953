// SPDX-License-Identifier: GPL-2.0-or-later
// Real spherical harmonics of a unit vector, degrees 0 to 3, sum_m Y_lm^2 = 2l+1, in the order and the axes of e3nn (polar axis y,
// azimuth from z to x; component l*l+l+m), and their gradients. Geiger et al., arXiv:2207.09453.
#ifndef LMP_UQ_HARMONICS_H
#define LMP_UQ_HARMONICS_H

#include "formulas/hd.h"

namespace lmp_uq {

// square roots that the normalisation brings
constexpr double SQRT3 = 1.7320508075688772, SQRT5 = 2.2360679774997896, SQRT7 = 2.6457513110645907;
constexpr double SQRT15 = 3.872983346207417, SQRT5_8 = 0.7905694150420949, SQRT3_8 = 0.6123724356957945;

// values (l_max+1)^2 at the unit vector u
LMP_UQ_HD void harmonics(const double u[3], int l_max, double *value)
{
  const double x = u[0], y = u[1], z = u[2];
  value[0] = 1.0;
  if (l_max < 1) return;
  value[1] = SQRT3 * x;
  value[2] = SQRT3 * y;
  value[3] = SQRT3 * z;
  if (l_max < 2) return;
  value[4] = SQRT15 * x * z;
  value[5] = SQRT15 * x * y;
  value[6] = 0.5 * SQRT5 * (3.0 * y * y - 1.0);
  value[7] = SQRT15 * y * z;
  value[8] = 0.5 * SQRT15 * (z * z - x * x);
  if (l_max < 3) return;
  value[9] = SQRT7 * SQRT5_8 * x * (3.0 * z * z - x * x);
  value[10] = SQRT7 * SQRT15 * x * y * z;
  value[11] = SQRT7 * SQRT3_8 * x * (5.0 * y * y - 1.0);
  value[12] = 0.5 * SQRT7 * y * (5.0 * y * y - 3.0);
  value[13] = SQRT7 * SQRT3_8 * z * (5.0 * y * y - 1.0);
  value[14] = 0.5 * SQRT7 * SQRT15 * y * (z * z - x * x);
  value[15] = SQRT7 * SQRT5_8 * z * (z * z - 3.0 * x * x);
}

// gradient of sum_lm weight_lm Y_lm with respect to u, the polynomials above taken as functions on all space; its part along u
// depends on that choice and has to be projected out
LMP_UQ_HD void harmonics_gradient(const double u[3], int l_max, const double *weight, double gradient[3])
{
  const double x = u[0], y = u[1], z = u[2];
  double gx = 0.0, gy = 0.0, gz = 0.0;
  if (l_max >= 1) {
    gx += SQRT3 * weight[1];
    gy += SQRT3 * weight[2];
    gz += SQRT3 * weight[3];
  }
  if (l_max >= 2) {
    gx += SQRT15 * (weight[4] * z + weight[5] * y - weight[8] * x);
    gy += SQRT15 * (weight[5] * x + weight[7] * z) + 3.0 * SQRT5 * weight[6] * y;
    gz += SQRT15 * (weight[4] * x + weight[7] * y + weight[8] * z);
  }
  if (l_max >= 3) {
    const double a = SQRT7 * SQRT5_8, b = SQRT7 * SQRT15, c = SQRT7 * SQRT3_8;
    gx += a * (3.0 * (z * z - x * x) * weight[9] - 6.0 * x * z * weight[15]) + b * (y * z * weight[10] - x * y * weight[14]) +
        c * (5.0 * y * y - 1.0) * weight[11];
    gy += b * (x * z * weight[10] + 0.5 * (z * z - x * x) * weight[14]) + 10.0 * c * y * (x * weight[11] + z * weight[13]) +
        0.5 * SQRT7 * (15.0 * y * y - 3.0) * weight[12];
    gz += a * (6.0 * x * z * weight[9] + 3.0 * (z * z - x * x) * weight[15]) + b * (x * y * weight[10] + y * z * weight[14]) +
        c * (5.0 * y * y - 1.0) * weight[13];
  }
  gradient[0] = gx;
  gradient[1] = gy;
  gradient[2] = gz;
}

}    // namespace lmp_uq
#endif
