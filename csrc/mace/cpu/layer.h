// SPDX-License-Identifier: GPL-2.0-or-later
// One layer's weights, radial tables and kernels. What belongs to an element or to a pair of elements is made when it is first needed.
#ifndef LMP_UQ_LAYER_H
#define LMP_UQ_LAYER_H

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
  Linear(const Matrix &matrix, int n_in, int n_channels)
      : forward(matrix, n_in, 1, n_channels, false), reverse(matrix, n_in, 1, n_channels, true)
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
  std::vector<Linear<T>> skip;         // by degree; empty in layer 0
  Aligned<T> constant_skip;            // (C padded), layer 0
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
  int l_skip() const { return std::min(shape_.l_in, shape_.l_out); }       // degrees of incoming features that the skip takes, layers > 0
  int n_skip() const { return (l_skip() + 1) * (l_skip() + 1); }

  const Linear<T> &message(int l) const { return message_[l]; }            // layers > 0
  const Linear<T> &linear(int l) const { return linear_[l]; }
  const Linear<T> &up(int l) const { return up_[l]; }                      // layers > 0
  const Matrix &readout_linear() const { return readout_linear_; }         // (C)
  const Matrix &readout_gate() const { return readout_gate_; }             // (C, n_gate)
  const Matrix &readout_gated() const { return readout_gated_; }           // (n_gate)

  // Make what an element or a pair needs; not to be called by two threads at once. Afterwards any thread may ask for it.
  void prepare(int z);
  void prepare(int centre, int source);
  const ElementWeights<T> &element(int z) const { return *elements_[z]; }
  std::size_t table_bytes() const;                                         // of all tables made so far
  std::size_t n_bytes() const;                                             // of these and of the weights
  const RadialTable<T> *table(int centre, int source) const { return of_pair_[centre * elements_.size() + source]; }    // or nullptr

 private:
  const Weights &weights_;
  int number_;
  LayerShape shape_;
  Paths paths_;
  double tolerance_;
  Kernels<T> kernels_;
  CouplingMaps<T> coupling_;
  SymmetricProducts products_;
  RadialFunctions radial_;
  std::vector<Linear<T>> message_, linear_, up_;
  Matrix readout_linear_, readout_gate_, readout_gated_;
  std::vector<std::unique_ptr<ElementWeights<T>>> elements_;
  std::map<std::pair<int, int>, std::unique_ptr<RadialTable<T>>> tables_;
  std::vector<const RadialTable<T> *> of_pair_;                            // (n_elements, n_elements)
};

}    // namespace lmp_uq
#endif
