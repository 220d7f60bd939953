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

  // Grades of at most PackedMatrix::BLOCK atoms of one element: rows[i] points to P descriptors. Infinite for an element that is not known.
  // difference (n, P) and product (n, padded P): scratch, aligned to 64 bytes
  void grades(int element, int n, const double *const *rows, double *difference, double *product, double *grade) const;

 private:
  int n_descriptors_;
  std::vector<double> radius_;               // by element; 0: not known
  std::vector<std::vector<double>> mean_;    // by element; empty: not known
  std::vector<PackedMatrix> whitening_;      // transposed
};

}    // namespace lmp_uq
#endif
