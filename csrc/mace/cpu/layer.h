// SPDX-License-Identifier: GPL-2.0-or-later
// How a CPU keeps a layer: packed matrices, radial tables and the kernels that read them. What belongs to an element or to a pair of elements
// is made when it is first needed.
#ifndef LMP_UQ_LAYER_H
#define LMP_UQ_LAYER_H

#include "mace/cpu/packed.h"
#include "mace/cpu/radial_table.h"
#include "mace/layer_model.h"

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

// A sparse matrix in the precision of the features that it is applied to.
template <class T> class PackedSparse {
 public:
  explicit PackedSparse(const SparseMatrix &matrix) : matrix_(matrix), value_(matrix.value.begin(), matrix.value.end()) {}
  SparseMap<T> view() const
  {
    return {static_cast<int>(matrix_.start.size()) - 1, matrix_.start.data(), matrix_.index.data(), value_.data()};
  }

 private:
  const SparseMatrix &matrix_;
  std::vector<T> value_;
};

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
  // table_tolerance: see RadialKnots; 0: no tables, every edge goes through the radial network
  Layer(const Weights &weights, int number, double table_tolerance);

  const LayerShape &shape() const { return model_.shape(); }
  const Paths &paths() const { return model_.paths(); }
  const SymmetricProducts &products() const { return model_.products(); }
  const RadialFunctions &radial() const { return model_.radial(); }
  int number() const { return model_.number(); }
  int n_in() const { return model_.n_in(); }
  int n_out() const { return model_.n_out(); }
  int l_skip() const { return model_.l_skip(); }
  int n_skip() const { return model_.n_skip(); }
  int n_sent() const { return model_.n_sent(); }
  int sent_wide() const { return padded<T>(n_sent()); }
  bool keeps_sums() const { return number() > 0 || shape().nonlinear; }    // else they cost less to make again than to fetch
  int n_before_gate() const { return model_.n_before_gate(); }
  double norm(double density) const { return model_.norm(density); }
  double norm_slope() const { return model_.norm_slope(); }
  const BiasedReadout &readout_biased() const { return model_.readout_biased(); }
  const Matrix &readout_linear() const { return model_.readout_linear(); }
  const Matrix &readout_gate() const { return model_.readout_gate(); }
  const Matrix &readout_gated() const { return model_.readout_gated(); }

  const Kernels<T> &kernels() const { return kernels_; }
  SparseMap<T> couple() const { return couple_.view(); }                   // summed products -> messages
  SparseMap<T> uncouple() const { return uncouple_.view(); }               // its transpose
  const Linear<T> &message(int l) const { return message_[l]; }            // layers > 0
  const Linear<T> &linear(int l) const { return linear_[l]; }
  const Linear<T> &up(int l) const { return up_[l]; }                      // layers > 0
  const std::vector<Linear<T>> &skip(int z) const { return shape().nonlinear ? skip_ : elements_[z]->skip; }    // by degree, layers > 0
  const GateMaps<T> &gate() const { return gate_; }                        // of nonlinear layers

  using Pairs = std::vector<std::pair<int, int>>;                          // centre, source

  // Make what an element or a pair needs; not to be called by two threads at once. Afterwards any thread may ask for it. A table is made of
  // knots, written, and taken over by all pairs of equal functions.
  void prepare(int z);
  bool needs_table(int centre, int source);
  RadialKnots knots(int centre, int source) const { return {radial(), centre, source, model_.cutoff(), tolerance_, n_coefficients<T>()}; }
  std::size_t table_bytes(const RadialKnots &knots) const;
  void write(const RadialKnots &knots, unsigned char *memory) const;
  void adopt(const Pairs &pairs, const unsigned char *memory, std::size_t n_bytes);
  double table_bytes_of(const std::vector<int> &elements) const;           // about what tables of all their pairs take
  const ElementWeights<T> &element(int z) const { return *elements_[z]; }
  std::size_t table_bytes() const { return table_bytes_; }                 // of all tables made so far
  std::size_t n_bytes() const;                                             // of the weights
  const RadialTable<T> *table(int centre, int source) const { return of_pair_[centre * elements_.size() + source]; }    // or nullptr

 private:
  void make_gate_maps();

  LayerModel model_;
  double tolerance_;
  Kernels<T> kernels_;
  PackedSparse<T> couple_, uncouple_;
  std::vector<Linear<T>> message_, linear_, up_, skip_;
  GateMaps<T> gate_;
  std::vector<std::unique_ptr<ElementWeights<T>>> elements_;
  std::map<std::pair<int, int>, std::shared_ptr<const RadialTable<T>>> tables_;    // by key
  std::size_t table_bytes_ = 0;
  std::vector<const RadialTable<T> *> of_pair_;                            // (n_elements, n_elements)
};

}    // namespace lmp_uq
#endif
