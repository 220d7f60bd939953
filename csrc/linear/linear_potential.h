// SPDX-License-Identifier: GPL-2.0-or-later
// A linear potential of a model file, E_i = Theta*.D_i, and the bars of its departures: what compute uq/linear makes of descriptors.
#ifndef LMP_UQ_LINEAR_POTENTIAL_H
#define LMP_UQ_LINEAR_POTENTIAL_H

#include "linear/descriptor_source.h"
#include "file/model_file.h"
#include "head/posterior.h"

#include <memory>
#include <string>
#include <vector>

namespace lmp_uq {

class LinearPotential {
 public:
  // std::runtime_error: what ModelFile::read refuses, another family, no posterior
  explicit LinearPotential(const std::string &path);

  const std::vector<std::string> &elements() const { return elements_; }
  const DescriptorSource &descriptors() const { return *descriptors_; }
  const std::string &sha256() const { return file_->sha256(); }
  Posterior &posterior() { return *posterior_; }
  std::size_t n_bytes() const { return file_->n_bytes() + posterior_->n_bytes() + bytes_of(coefficients_); }
  std::size_t width() const { return elements_.size() * descriptors_->n_descriptors(); }    // of a row of blocks, P

  // eV, of an atom of an element with the descriptors of its own block
  double energy(int element, const double *row) const;

  // Adds descriptors of one element's block to a row of all blocks (P).
  void place(int element, const double *row, double *blocks) const;

  double row_energy(const double *blocks) const;    // Theta*.x without the constants, of a row of all blocks (P)

 private:
  std::unique_ptr<ModelFile> file_;
  std::vector<std::string> elements_;
  std::unique_ptr<DescriptorSource> descriptors_;
  std::vector<double> coefficients_;    // blocks of the elements, then their constants
  std::unique_ptr<Posterior> posterior_;
};

}    // namespace lmp_uq
#endif
