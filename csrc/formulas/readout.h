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

// sum_q last_q f(mid_bias_q + sum_k mid_kq f(sum_c scalars_c first_ck)) + last_bias: mace-torch's NonLinearBiasReadoutBlock
struct TwiceGatedReadout {
  int n_channels, n;
  Activation f;
  const double *first;       // (n_channels, n)
  const double *mid;         // (n, n), with the normalisation of f, as last
  const double *mid_bias;    // (n)
  const double *last;        // (n)
  double last_bias;
};

// work (2 n): becomes what f is taken of, first inside, then outside
template <class T> LMP_UQ_HD void twice_gated_arguments(const TwiceGatedReadout &r, const T *scalars, double *work)
{
  double *inner = work, *outer = work + r.n;
  for (int k = 0; k < r.n; ++k) {
    inner[k] = 0.0;
    outer[k] = r.mid_bias[k];
  }
  for (int c = 0; c < r.n_channels; ++c)
    for (int k = 0; k < r.n; ++k) inner[k] += r.first[c * r.n + k] * static_cast<double>(scalars[c]);
  for (int k = 0; k < r.n; ++k)
    for (int q = 0; q < r.n; ++q) outer[q] += activation(r.f, inner[k], r.mid[k * r.n + q]);
}

template <class T> LMP_UQ_HD double twice_gated_readout(const TwiceGatedReadout &r, const T *scalars, double *work)
{
  twice_gated_arguments(r, scalars, work);
  double out = r.last_bias;
  for (int k = 0; k < r.n; ++k) out += activation(r.f, work[r.n + k], r.last[k]);
  return out;
}

// gradient (n_channels) += factor times the derivatives
template <class T>
LMP_UQ_HD void add_twice_gated_readout_gradient(const TwiceGatedReadout &r, const T *scalars, double factor, double *work, double *gradient)
{
  double *inner = work, *outer = work + r.n;
  twice_gated_arguments(r, scalars, work);
  for (int k = 0; k < r.n; ++k) outer[k] = activation_slope(r.f, outer[k], factor * r.last[k]);
  for (int k = 0; k < r.n; ++k) {
    double sum = 0.0;
    for (int q = 0; q < r.n; ++q) sum += r.mid[k * r.n + q] * outer[q];
    inner[k] = activation_slope(r.f, inner[k], sum);
  }
  for (int c = 0; c < r.n_channels; ++c)
    for (int k = 0; k < r.n; ++k) gradient[c] += r.first[c * r.n + k] * inner[k];
}

}    // namespace lmp_uq
#endif
