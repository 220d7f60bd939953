// SPDX-License-Identifier: GPL-2.0-or-later
// Grade of an atom: Mahalanobis distance of its descriptors over the radius of its element's training atoms (lmp_uq.novelty.grade).
#ifndef LMP_UQ_NOVELTY_H
#define LMP_UQ_NOVELTY_H

#include "head/head_matrices.h"
#include "head/packed_matrix.h"
#include "file/tensor.h"

#include <vector>

namespace lmp_uq {

class Novelty {
 public:
  // grade: the section of a model file that has passed its checks; elements: those in use, only they are kept
  Novelty(const Tensors &grade, const std::vector<int> &elements);

  bool knows(int element) const { return radius_[element] > 0.0; }    // false too for an element that is not in use
  int n_descriptors() const { return n_descriptors_; }
  std::size_t n_bytes() const;

  void hand_over(HeadMatrices &to) const;

  // Before slopes(): a second layout of the whitenings, which grades have no use for.
  void prepare_slopes();

  // Grades of at most PackedMatrix::BLOCK atoms of one element: rows[i] points to P descriptors. Infinite for an element that is not known.
  // difference (n, P) and product (n, padded P): scratch, aligned to 64 bytes
  void grades(int element, int n, const double *const *rows, double *difference, double *product, double *grade) const;

  // Of the same atoms d(grade)/dD times the atoms' factors (n): (n, padded P) into `difference`. 0 where the grade is 0 or infinite.
  void slopes(int element, int n, const double *const *rows, const double *factors, double *difference, double *product) const;
  int slope_stride() const { return PackedMatrix::padded(n_descriptors_); }

 private:
  void whiten(int element, int n, const double *const *rows, double *difference, double *product) const;
  double square(const double *product) const;    // of an atom's length

  int n_descriptors_;
  std::vector<double> radius_;               // by element; 0: not known
  std::vector<std::vector<double>> mean_;    // by element; empty: not known
  std::vector<PackedMatrix> whitening_;      // transposed
  std::vector<PackedMatrix> back_;           // as they are; empty until slopes are asked for
};

}    // namespace lmp_uq
#endif
