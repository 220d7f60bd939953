// SPDX-License-Identifier: GPL-2.0-or-later
// Which descriptors a SNAP potential has, as LAMMPS' computes give them: A. P. Thompson et al., J. Comput. Phys. 285, 316 (2015).
#ifndef LMP_UQ_SNAP_DESCRIPTORS_H
#define LMP_UQ_SNAP_DESCRIPTORS_H

#include "linear/descriptor_source.h"

#include <cstddef>
#include <string>
#include <vector>

namespace lmp_uq {

class SnapDescriptors : public DescriptorSource {
 public:
  static constexpr int MAX_TWOJMAX = 20;

  // architecture: of family snap, its parameters and lists have passed their checks
  SnapDescriptors(const Json &architecture, std::size_t n_elements);

  std::size_t n_descriptors() const override { return quadratic_ ? with_products(n_bispectrum_) : n_bispectrum_; }
  std::string pair_style() const override { return "snap"; }
  std::string compute(Role role, const std::vector<int> &element_of_type) const override;    // all flags stated
  std::string hint(std::size_t n_columns) const override;                                     // quadraticflag
  bool alternative(std::size_t which, const double *row, std::vector<double> &out, std::string &words) const override;    // bzeroflag
  std::string suspects() const override;

 private:
  static std::size_t with_products(std::size_t n) { return n + n * (n + 1) / 2; }

  const Json *architecture_;
  bool quadratic_, chem_;
  std::size_t n_bispectrum_;
};

}    // namespace lmp_uq
#endif
