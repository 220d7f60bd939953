// SPDX-License-Identifier: GPL-2.0-or-later
// The arrays of a MACE model as plain matrices in float64, every constant factor folded in. Read on demand: a model of 89 elements
// costs memory only for those in use. Matrices are row-major, (in, out).
#ifndef LMP_UQ_WEIGHTS_H
#define LMP_UQ_WEIGHTS_H

#include "formulas/pair_functions.h"
#include "formulas/paths.h"
#include "mace/architecture.h"
#include "mace/matrix.h"
#include "file/tensor.h"

#include <string>
#include <vector>

namespace lmp_uq {

class Weights {
 public:
  // The bytes behind `tensors` stay valid as long as this object is used.
  Weights(Architecture architecture, Tensors tensors);

  const Architecture &shape() const { return architecture_; }

  double atomic_energy(int element) const;                  // eV
  double scale() const;
  double shift() const;                                     // eV
  Matrix readout_linear(int layer) const;                   // (C)
  Matrix readout_gate(int layer) const;                     // (C, n_gate)
  Matrix readout_gated(int layer) const;                    // (n_gate), after the activation
  Matrix readout_mid(int layer) const;                      // (n_gate, n_gate) between two activations of a biased readout
  Matrix readout_bias(int layer, bool last) const;          // (n_gate) of the map before, or (1) of the last one

  Matrix embedding(int element) const;                      // (C)
  Matrix source_features(int element) const;                // (n_sent): what layer 0 sends
  Matrix message(int layer, int l, int element) const;      // (n_paths*C, C): messages of degree l; element matters in layer 0 only
  bool message_depends_on_element(int layer) const;
  Matrix up(int layer, int l) const;                        // (C, n_sent): features of the layer before -> what this layer sends
  Matrix linear(int layer, int l) const;                    // (C, C): after the products
  Matrix skip(int layer, int l, int element) const;         // (C, C): features of the layer before -> this layer's
  Matrix constant_skip(int element) const;                  // (C): the same in layer 0, zero if it has none

  // of nonlinear layers. Before the gate: part 0 are features of degree l, part g > 0 of degree 0 the gates of degree g.
  Matrix gated_message(int layer, int l, int part) const;   // (n_paths*n_sent, C)
  Matrix gated_source(int layer, int l, int part) const;    // (n_sent, C): what the atom itself sends
  Matrix mixing(int layer, int l) const;                    // (C, C): after the gate
  double density_offset(int layer) const;                   // messages are divided by it + slope * density
  double density_slope(int layer) const;
  // network: conv_tp_weights or density_fn, a step of it: (n_in, n_out), with the elements' share in the bias
  Matrix normed_step(int layer, const std::string &network, int step) const;
  Matrix normed_bias(int layer, const std::string &network, int step, int centre, int source) const;
  Matrix by_path(int layer, const Matrix &last) const;      // the last step's columns, (.., n_paths*n_sent), zero where a path has fewer
  Matrix norm_scale(int layer, const std::string &network, int step) const;
  Matrix norm_shift(int layer, const std::string &network, int step) const;

  Matrix radial(int layer, int step) const;                 // matrices of the radial network, radial_widths.size()+1 of them
  Matrix density(int layer) const;                          // (n_bessel)
  Matrix radial_parameters() const;                         // (n_bessel): frequencies, centres or orders, see radial_basis
  double radial_scale() const;
  double envelope_cutoff() const;
  int envelope_order() const;
  Agnesi agnesi() const;
  double softness() const;                                  // steepness of the Soft transform
  Repulsion repulsion(int first, int second) const;         // of two elements
  double contact(int first, int second) const;              // sum of covalent radii in Angstrom, 0 where the model has none

  // of products of order `order` for outputs of degree l: coupling tensor and weights
  const Tensor &coupling(int layer, int l, int order, const char *part) const;    // part: indices, values or shape
  Matrix product_weights(int layer, int l, int order, int element, std::size_t n_paths) const;    // (n_paths, C)

  Paths paths(int layer) const;

 private:
  const Tensor &find(const std::string &name) const;
  const Tensor &tensor(const std::string &name, const std::vector<std::size_t> &shape) const;
  Matrix before_gate(const std::string &name, int layer, const std::vector<std::vector<std::size_t>> &sent, int l, int part) const;
  std::vector<std::size_t> sent_by_path(int layer, int l) const;
  std::vector<std::size_t> widths_of(int layer, const std::string &network) const;
  Matrix part(const std::string &name, std::size_t length, std::size_t begin, std::size_t count, double factor) const;
  double scalar(const std::string &name) const;
  int whole(const std::string &name) const;
  double of_head(const std::string &name) const;
  double radius(int element) const;
  double radius(const std::string &name, int element) const;

  Architecture architecture_;
  Tensors tensors_;
};

}    // namespace lmp_uq
#endif
