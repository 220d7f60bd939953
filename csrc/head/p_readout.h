// SPDX-License-Identifier: GPL-2.0-or-later
// Learned members of a small readout on the descriptors (lmp_uq.posterior.p_readout): what they add to energies, and its slopes.
#ifndef LMP_UQ_P_READOUT_H
#define LMP_UQ_P_READOUT_H

#include "file/model_file.h"
#include "head/packed_matrix.h"

#include <cstddef>
#include <memory>
#include <vector>

namespace lmp_uq {

class PReadout {
 public:
  // of the file, which has passed its checks; nullptr where it has none
  static std::unique_ptr<PReadout> of(const ModelFile &file);
  // arrays: the section posterior/p_readout
  explicit PReadout(const Tensors &arrays);

  int n_descriptors() const { return weight_.depth(); }
  std::size_t n_bytes() const;
  void use_threads(int n) { n_threads_ = n; }    // results are the same bits for any number

  // weights (n_members, n, P): derivatives of what each member adds by the descriptors (n, P) of each atom, eV per unit of the descriptor
  void slopes(std::size_t n, const double *descriptors, int first, int n_members, double *weights) const;
  // sums (n_members) over the atoms of what the first members add to their energies, eV
  void energies(std::size_t n, const double *descriptors, int n_members, double *sums) const;

 private:
  template <class F> void by_blocks(std::size_t n, const double *descriptors, const F &work) const;

  std::vector<double> mean_, scale_, output_, linear_, member_bias_;
  PackedMatrix weight_, inward_;    // W1 transposed; W1 over the scales
  int n_threads_ = 1;
};

}    // namespace lmp_uq
#endif
