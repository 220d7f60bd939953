// SPDX-License-Identifier: GPL-2.0-or-later
// Formulas called from a kernel: compiled by nvcc, where there is one, in tests/house/test_build.py.
#include "formulas/activations.h"
#include "formulas/bars.h"
#include "formulas/edge_gradient.h"
#include "formulas/pair_functions.h"
#include "formulas/paths.h"

using namespace lmp_uq;

__global__ void call(double *x, float *y)
{
  constexpr Paths paths = make_paths(1, 3);
  harmonics(y, MAX_DEGREE, y + 3);
  harmonics_gradient(y, MAX_DEGREE, y + 3, y + 20);
  add_edge_gradient(x, x[3], x[4], x + 5, MAX_DEGREE, x + 30);
  const BoxBars box = box_bars(box_sums(x, MODE_LANES), x[1]);
  x[0] = energy_bars(box, x[1], x[2]).lower + paths.l1[threadIdx.x] + grade_of(x[2], x[3]);
  x[1] = repulsion(x[1], Repulsion{}).value + envelope(x[1], x[2], 6).value + silu_jet(x[3]).second;
}
