// SPDX-License-Identifier: GPL-2.0-or-later
// From what a kernel sums for an edge to the gradient with respect to the edge's vector.
#ifndef LMP_UQ_EDGE_GRADIENT_H
#define LMP_UQ_EDGE_GRADIENT_H

#include "formulas/harmonics.h"

namespace lmp_uq {

// Adds to `gradient`. unit, length: of the vector, the latter in Angstrom; radial: slope with the length at fixed direction, 1/Angstrom;
// of_harmonics (MAX_HARMONICS): slopes with Y_1, Y_2 ...; its first entry is not looked at, Y_0 is constant
LMP_UQ_HD void add_edge_gradient(const double unit[3], double length, double radial, const double *of_harmonics, int l_max, double gradient[3])
{
  double g[3];
  harmonics_gradient(unit, l_max, of_harmonics, g);
  const double along = g[0] * unit[0] + g[1] * unit[1] + g[2] * unit[2];
  for (int x = 0; x < 3; ++x) gradient[x] += radial * unit[x] + (g[x] - along * unit[x]) / length;
}

}    // namespace lmp_uq
#endif
