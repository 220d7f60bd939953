// SPDX-License-Identifier: GPL-2.0-or-later
// The POPS box and its members: bars of energies. The closed forms of lmp_uq.posterior.box.Box.
#ifndef LMP_UQ_BOX_H
#define LMP_UQ_BOX_H

#include "head/head_matrices.h"
#include "head/packed_matrix.h"
#include "file/tensor.h"

#include <string>
#include <vector>

namespace lmp_uq {

class Box {
 public:
  // posterior: the section of a model file that has passed its checks
  // bias: none, constant, element; n_members: K of the bounds
  Box(const Tensors &posterior, int n_descriptors, const std::string &bias, int n_elements, int n_members);

  // (n_features) coefficients of the mean of the distribution, Theta* + V mid
  const double *centre() const { return centre_.data(); }

  int n_features() const { return n_features_; }    // descriptors and bias columns
  int stride() const { return matrix_.stride(); }
  std::size_t n_bytes() const { return matrix_.n_bytes() + bytes_of(bias_, members_, centre_); }

  // Bars of at most PackedMatrix::BLOCK atoms, eV: std about the model that runs, expected extremes of K members.
  // descriptors (n, P); elements (n) index into the file's elements; scratch (n, stride()) aligned to 64 bytes
  // std::runtime_error where the file holds no member
  void bars(int n, const double *descriptors, const int *elements, const double *energies, double *scratch, double *std, double *lower,
            double *upper) const;

  // The std of at most PackedMatrix::BLOCK rows of descriptors (n, P) without bias columns, in the unit of the row; scratch as above.
  void row_std(int n, const double *rows, double *scratch, double *std) const;

  void hand_over(HeadMatrices &to) const;

  // Adds the bias columns of an atom to a feature sum (n_features).
  void add_bias(int element, double *sum) const;

  // std, lower and upper of a total energy from its feature sum (n_features); scratch (stride())
  void totals(const double *sum, double energy, double *scratch, double std_lower_upper[3]) const;

  // std of a total energy about the middle of the box, eV, from its feature sum (n_features), and by how much it changes with the sum's
  // descriptors: slope (P), 0 where the std is; scratch (stride())
  double std_slope(const double *sum, double *scratch, double *slope) const;

  // (K) total energies of the members
  void member_energies(const double *sum, double energy, double *energies) const;

 private:
  void reach(const double *sum, double *scratch) const;    // of the modes, and the mean, for a feature sum
  void finish(const double *row, double energy, double *std, double *lower, double *upper) const;

  int n_descriptors_, n_features_, n_modes_, n_members_;    // modes that have an extent
  double z_;                                                // normal score of K
  PackedMatrix matrix_;         // descriptors -> n_modes_ reaches, zeros up to mean_, mean
  int mean_;                    // column of the mean
  Aligned<double> bias_;        // (bias columns, stride()): what each column adds
  std::vector<double> members_; // (K, n_features)
  std::vector<double> centre_;  // (n_features)
};

// Phi^-1(1 - tail) for 0 < tail <= 1/2
double normal_score(double tail);

}    // namespace lmp_uq
#endif
