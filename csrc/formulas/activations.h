// SPDX-License-Identifier: GPL-2.0-or-later
// Activation functions of the models' networks.
#ifndef LMP_UQ_ACTIVATIONS_H
#define LMP_UQ_ACTIVATIONS_H

#include "formulas/hd.h"
#include "formulas/pair_functions.h"

#include <cmath>

namespace lmp_uq {

enum class Activation { Silu, Tanh, Abs, None };

LMP_UQ_HD double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// weight x sigmoid(x); the order of the factors is that of the energies of models, to the last digit
LMP_UQ_HD double silu(double x, double weight = 1.0) { return weight * x / (1.0 + std::exp(-x)); }

// weight times its derivative; the order of the factors is that of the forces of models, and in silu_jet that of their radial functions
LMP_UQ_HD double silu_slope(double x, double weight)
{
  const double s = sigmoid(x);
  return weight * s * (1.0 + x * (1.0 - s));
}

// weight times one of them, and its derivative
LMP_UQ_HD double activation(Activation kind, double x, double weight)
{
  switch (kind) {
    case Activation::Silu: return silu(x, weight);
    case Activation::Tanh: return weight * std::tanh(x);
    case Activation::Abs: return weight * std::abs(x);
    default: return weight * x;
  }
}

LMP_UQ_HD double activation_slope(Activation kind, double x, double weight)
{
  switch (kind) {
    case Activation::Silu: return silu_slope(x, weight);
    case Activation::Tanh: {
      const double v = std::tanh(x);
      return weight * (1.0 - v * v);
    }
    case Activation::Abs: return x > 0.0 ? weight : x < 0.0 ? -weight : 0.0;
    default: return weight;
  }
}

struct Gate {
  double value, slope;
};

// constant times the sigmoid: what a gate multiplies features of higher degree by (Weiler et al., NeurIPS 2018, arXiv:1807.02547)
LMP_UQ_HD Gate gate_of(double x, double constant)
{
  const double s = sigmoid(x);
  return {constant * s, constant * s * (1.0 - s)};
}

// with derivatives
LMP_UQ_HD Jet tanh_jet(double x)
{
  const double v = std::tanh(x), slope = 1.0 - v * v;
  return {v, slope, -2.0 * v * slope};
}

LMP_UQ_HD Jet silu_jet(double x)
{
  const double s = sigmoid(x), d = s * (1.0 - s);
  return {x * s, s + x * d, d * (2.0 + x * (1.0 - 2.0 * s))};
}

}    // namespace lmp_uq
#endif
