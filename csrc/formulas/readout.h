// SPDX-License-Identifier: GPL-2.0-or-later
// From an atom's scalars to its share of the energy, and back. Matrices are row-major, (in, out).
#ifndef LMP_UQ_READOUT_H
#define LMP_UQ_READOUT_H

#include "formulas/activations.h"

namespace lmp_uq {

// weights (n)
template <class T> LMP_UQ_HD double linear_readout(const T *scalars, int n, const double *weights)
{
  double out = 0.0;
  for (int c = 0; c < n; ++c) out += weights[c] * static_cast<double>(scalars[c]);
  return out;
}

// sum_k weights_k f(sum_c scalars_c matrix_ck)
struct GatedReadout {
  int n_channels, n_gate;
  const double *matrix;      // (n_channels, n_gate)
  const double *weights;     // (n_gate), with the normalisation of f
  Activation f;
};

// work (n_gate): becomes what f is taken of
template <class T> LMP_UQ_HD void gate_arguments(const GatedReadout &r, const T *scalars, double *work)
{
  for (int k = 0; k < r.n_gate; ++k) work[k] = 0.0;
  for (int c = 0; c < r.n_channels; ++c)
    for (int k = 0; k < r.n_gate; ++k) work[k] += r.matrix[c * r.n_gate + k] * static_cast<double>(scalars[c]);
}

template <class T> LMP_UQ_HD double gated_readout(const GatedReadout &r, const T *scalars, double *work)
{
  gate_arguments(r, scalars, work);
  double out = 0.0;
  for (int k = 0; k < r.n_gate; ++k) out += activation(r.f, work[k], r.weights[k]);
  return out;
}

// gradient (n_channels) += factor times the derivatives
template <class T> LMP_UQ_HD void add_gated_readout_gradient(const GatedReadout &r, const T *scalars, double factor, double *work, double *gradient)
{
  gate_arguments(r, scalars, work);
  for (int k = 0; k < r.n_gate; ++k) work[k] = activation_slope(r.f, work[k], factor * r.weights[k]);
  for (int c = 0; c < r.n_channels; ++c)
    for (int k = 0; k < r.n_gate; ++k) gradient[c] += r.matrix[c * r.n_gate + k] * work[k];
}

}    // namespace lmp_uq
#endif
