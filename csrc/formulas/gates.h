// SPDX-License-Identifier: GPL-2.0-or-later
// The gate of an equivariant nonlinearity (Weiler et al., NeurIPS 2018, arXiv:1807.02547): a feature is multiplied by the sigmoid of a scalar.
#ifndef LMP_UQ_GATES_H
#define LMP_UQ_GATES_H

#include "formulas/activations.h"

namespace lmp_uq {

struct Gate {
  double value, slope;
};

// constant: e3nn's normalisation
LMP_UQ_HD Gate gate_of(double x, double constant)
{
  const double s = sigmoid(x);
  return {constant * s, constant * s * (1.0 - s)};
}

}    // namespace lmp_uq
#endif
