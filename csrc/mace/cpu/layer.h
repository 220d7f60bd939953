// SPDX-License-Identifier: GPL-2.0-or-later
// One layer's weights, radial tables and kernels. What belongs to an element or to a pair of elements is made when it is first needed.
#ifndef LMP_UQ_LAYER_H
#define LMP_UQ_LAYER_H

#include "mace/biased_readout.h"
#include "mace/coupling.h"
#include "mace/cpu/packed.h"
#include "mace/radial.h"
#include "mace/symmetric_products.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace lmp_uq {

// A linear map of features and its transpose.
template <class T> struct Linear {
  Packed<T> forward, reverse;
  Linear() = default;
  // matrix: (n_in groups of channels_in, channels_out)
  Linear(const Matrix &matrix, int n_in, int channels_in, int channels_out)
      : forward(matrix, n_in, channels_in, channels_out, false), reverse(matrix, n_in, channels_in, channels_out, true)
  {
  }
};

template <class T> std::size_t bytes_of(const std::vector<Linear<T>> &maps)
{
  std::size_t n = 0;
  for (const Linear<T> &map : maps) n += map.forward.n_bytes() + map.reverse.n_bytes();
  return n;
}

template <class T> struct ElementWeights {
  Aligned<T> products;                 // (block, n_coefficients, channel in block)
  std::vector<Linear<T>> skip;         // by degree; empty in layer 0 and where all elements share it
  Aligned<T> constant_skip;            // (C padded), layer 0
  Aligned<T> constant_source;          // (l_max+1, C padded), layer 0 if nonlinear: scalars and gates before the gate
};

// What a nonlinear layer does between its sums over neighbours and its products: linear maps, a gate, a linear map. Before the gate
// features have, after their (l_max+1)^2 components, one component of gates for each degree above 0.
template <class T> struct GateMaps {
  std::vector<Linear<T>> message, source;              // by degree l; source: of what the atom itself sends, layers > 0
  std::vector<Linear<T>> message_gates, source_gates;  // of scalars, by degree of what is gated - 1
  std::vector<Linear<T>> mixing;                       // by degree, after the gate
};

template <class T> class Layer {
 public:
  // table_tolerance: see RadialTable; 0: no tables, every edge goes through the radial network
  Layer(const Weights &weights, int number, double table_tolerance);

  const LayerShape &shape() const { return shape_; }
  const Paths &paths() const { return paths_; }
  const Kernels<T> &kernels() const { return kernels_; }
  const CouplingMaps<T> &coupling() const { return coupling_; }
  const SymmetricProducts &products() const { return products_; }
  const RadialFunctions &radial() const { return radial_; }
  int number() const { return number_; }
  int n_in() const { return (shape_.l_in + 1) * (shape_.l_in + 1); }       // components of the features that come in
  int n_out() const { return (shape_.l_out + 1) * (shape_.l_out + 1); }
  int n_channels() const { return weights_.shape().n_channels; }
  int n_sent() const { return shape_.n_sent; }                             // channels of the features that come in, of radial functions and sums
  int sent_wide() const { return padded<T>(shape_.n_sent); }
  bool keeps_sums() const { return number_ > 0 || shape_.nonlinear; }      // else they cost less to make again than to fetch
  int n_before_gate() const { return (weights_.shape().l_max + 1) * (weights_.shape().l_max + 1) + weights_.shape().l_max; }
  double norm(double density) const { return 1.0 / (density_offset_ + density_slope_ * density); }    // of a sum over neighbours
  double norm_slope() const { return density_slope_; }
  int l_skip() const { return std::min(shape_.l_in, shape_.l_out); }       // degrees of incoming features that the skip takes, layers > 0
  int n_skip() const { return (l_skip() + 1) * (l_skip() + 1); }

  const Linear<T> &message(int l) const { return message_[l]; }            // layers > 0
  const Linear<T> &linear(int l) const { return linear_[l]; }
  const Linear<T> &up(int l) const { return up_[l]; }                      // layers > 0
  const std::vector<Linear<T>> &skip(int z) const { return shape_.nonlinear ? skip_ : elements_[z]->skip; }    // by degree, layers > 0
  const GateMaps<T> &gate() const { return gate_; }                        // of nonlinear layers
  const Matrix &readout_linear() const { return readout_linear_; }         // (C)
  const Matrix &readout_gate() const { return readout_gate_; }             // (C, n_gate)
  const Matrix &readout_gated() const { return readout_gated_; }           // (n_gate)
  const BiasedReadout &readout_biased() const { return readout_biased_; }

  // Make what an element or a pair needs; not to be called by two threads at once. Afterwards any thread may ask for it.
  void prepare(int z);
  void prepare(int centre, int source);
  const ElementWeights<T> &element(int z) const { return *elements_[z]; }
  std::size_t table_bytes() const;                                         // of all tables made so far
  std::size_t n_bytes() const;                                             // of these and of the weights
  const RadialTable<T> *table(int centre, int source) const { return of_pair_[centre * elements_.size() + source]; }    // or nullptr

 private:
  void make_gate_maps();

  const Weights &weights_;
  int number_;
  LayerShape shape_;
  Paths paths_;
  double tolerance_;
  Kernels<T> kernels_;
  CouplingMaps<T> coupling_;
  SymmetricProducts products_;
  RadialFunctions radial_;
  double density_offset_, density_slope_;
  std::vector<Linear<T>> message_, linear_, up_, skip_;
  GateMaps<T> gate_;
  Matrix readout_linear_, readout_gate_, readout_gated_;
  BiasedReadout readout_biased_;
  std::vector<std::unique_ptr<ElementWeights<T>>> elements_;
  std::map<std::pair<int, int>, std::unique_ptr<RadialTable<T>>> tables_;
  std::vector<const RadialTable<T> *> of_pair_;                            // (n_elements, n_elements)
};

}    // namespace lmp_uq
#endif
