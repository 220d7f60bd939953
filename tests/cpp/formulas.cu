// SPDX-License-Identifier: GPL-2.0-or-later
// Formulas called from a kernel: compiled by nvcc, where there is one, in tests/house/test_build.py.
#include "formulas/activations.h"
#include "formulas/bars.h"
#include "formulas/edge_gradient.h"
#include "formulas/pair_functions.h"
#include "formulas/paths.h"
#include "formulas/radial_basis.h"
#include "formulas/radial_polynomial.h"
#include "formulas/readout.h"

using namespace lmp_uq;

__global__ void call(double *x, float *y)
{
  constexpr Paths paths = make_paths(1, 3);
  harmonics(y, MAX_DEGREE, y + 3);
  harmonics_gradient(y, MAX_DEGREE, y + 3, y + 20);
  add_edge_gradient(x, x[3], x[4], x + 5, MAX_DEGREE, x + 30);
  const BoxBars box = box_bars(box_sums(x, MODE_LANES), x[1]);
  x[0] = energy_bars(box, x[1], x[2]).lower + paths.l1[threadIdx.x] + grade_of(x[2], x[3]);
  x[1] = repulsion(x[1], Repulsion{}).value + envelope(x[1], x[2], 6).value + silu_jet(x[3]).second + gate_of(x[3], 1.7).slope;
  const RadialPlace place = radial_place(RadialSpans{}, x[4]);
  hermite(Jet{}, Jet{}, Jet{}, place.t, MOST_COEFFICIENTS, x + 40);
  polynomial<MOST_COEFFICIENTS>([&](int k) { return x[40 + k]; }, place.t, x[2], x[3]);
  const GatedReadout readout{4, 2, x + 50, x + 60, Activation::Silu};
  x[4] = linear_readout(y, 4, x) + gated_readout(readout, y, x + 70) + radial_basis(RadialBasis::Chebyshev, x[5], 3.0, 1.0).first;
  add_gated_readout_gradient(readout, y, 1.0, x + 70, x + 80);
  const TwiceGatedReadout twice{4, 2, Activation::Tanh, x + 50, x + 60, x + 64, x + 66, 0.5};
  x[5] += twice_gated_readout(twice, y, x + 70);
  add_twice_gated_readout_gradient(twice, y, 1.0, x + 70, x + 80);
  x[6] = value_of(ForceFormula{}, ForceVariables{x[0], x[1], x[2], x[3]}) + joined_sums(BoxSums{}, box_sums(x, MODE_LANES)).first;
  member_std(x, 2, x + 90);
}
