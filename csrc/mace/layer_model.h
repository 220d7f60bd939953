// SPDX-License-Identifier: GPL-2.0-or-later
// What one layer of a model is: shape, folded matrices, index tables of its couplings and products, radial functions. In float64 and as
// plain matrices; how a processor lays them out is its own affair.
#ifndef LMP_UQ_LAYER_MODEL_H
#define LMP_UQ_LAYER_MODEL_H

#include "mace/biased_readout.h"
#include "mace/coupling.h"
#include "mace/radial.h"
#include "mace/symmetric_products.h"

#include <algorithm>

namespace lmp_uq {

class LayerModel {
 public:
  LayerModel(const Weights &weights, int number);    // weights live as long as this object

  const LayerShape &shape() const { return shape_; }
  const Architecture &architecture() const { return weights_.shape(); }
  const Paths &paths() const { return paths_; }
  const Coupling &coupling() const { return coupling_; }
  const SymmetricProducts &products() const { return products_; }
  const RadialFunctions &radial() const { return radial_; }
  int number() const { return number_; }
  int l_max() const { return weights_.shape().l_max; }
  int n_channels() const { return weights_.shape().n_channels; }
  int n_sent() const { return shape_.n_sent; }                             // channels of what edges fetch, of radial functions and sums
  int n_elements() const { return weights_.shape().n_elements(); }
  double cutoff() const { return weights_.shape().cutoff; }                // Angstrom
  int n_in() const { return (shape_.l_in + 1) * (shape_.l_in + 1); }       // components of the features that come in
  int n_out() const { return (shape_.l_out + 1) * (shape_.l_out + 1); }
  int l_skip() const { return std::min(shape_.l_in, shape_.l_out); }       // degrees of incoming features that the skip takes, layers > 0
  int n_skip() const { return (l_skip() + 1) * (l_skip() + 1); }

  int n_before_gate() const { return (l_max() + 1) * (l_max() + 1) + l_max(); }    // components, nonlinear layers
  double norm(double density) const { return 1.0 / (density_offset_ + density_slope_ * density); }    // of a sum over neighbours
  double norm_slope() const { return density_slope_; }
  double density_offset() const { return density_offset_; }

  // (n_paths*C, C) and (C, C), made on demand
  Matrix message(int l) const { return weights_.message(number_, l, 0); }  // layers > 0
  Matrix linear(int l) const { return weights_.linear(number_, l); }
  Matrix up(int l) const { return weights_.up(number_, l); }               // layers > 0
  Matrix skip(int l, int element) const { return weights_.skip(number_, l, element); }    // layers > 0
  Matrix constant_skip(int element) const { return weights_.constant_skip(element); }     // (C), layer 0
  // of nonlinear layers, see Weights
  Matrix gated_message(int l, int part) const { return weights_.gated_message(number_, l, part); }
  Matrix gated_source(int l, int part) const { return weights_.gated_source(number_, l, part); }
  Matrix constant_sources(int element) const;                              // (l_max+1, C), layer 0: scalars and gates before the gate
  Matrix mixing(int l) const { return weights_.mixing(number_, l); }
  const BiasedReadout &readout_biased() const { return readout_biased_; }
  const Matrix &readout_linear() const { return readout_linear_; }         // (C)
  const Matrix &readout_gate() const { return readout_gate_; }             // (C, n_gate)
  const Matrix &readout_gated() const { return readout_gated_; }           // (n_gate)

 private:
  const Weights &weights_;
  int number_;
  LayerShape shape_;
  Paths paths_;
  Coupling coupling_;
  SymmetricProducts products_;
  RadialFunctions radial_;
  double density_offset_, density_slope_;
  Matrix readout_linear_, readout_gate_, readout_gated_;
  BiasedReadout readout_biased_;
};

}    // namespace lmp_uq
#endif
