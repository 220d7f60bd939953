// SPDX-License-Identifier: GPL-2.0-or-later
// Which descriptors a SNAP potential has, as LAMMPS' computes give them: A. P. Thompson et al., J. Comput. Phys. 285, 316 (2015).
#ifndef LMP_UQ_SNAP_DESCRIPTORS_H
#define LMP_UQ_SNAP_DESCRIPTORS_H

#include "json.h"

#include <cstddef>
#include <string>
#include <vector>

namespace lmp_uq {

class SnapDescriptors {
 public:
  static constexpr int MAX_TWOJMAX = 20;

  // architecture: of family snap, its parameters and lists have passed their checks
  SnapDescriptors(const Json &architecture, std::size_t n_elements);

  std::size_t n_bispectrum() const { return n_bispectrum_; }
  std::size_t n_descriptors() const { return quadratic_ ? with_products(n_bispectrum_) : n_bispectrum_; }
  bool quadratic() const { return quadratic_; }
  static std::size_t with_products(std::size_t n) { return n + n * (n + 1) / 2; }

  // Descriptors of another bzeroflag, (n_descriptors()): what bzeroflag takes off each bispectrum component, times sign, is added to
  // those of `row`, and the products are formed anew. False where that is not known (chemflag).
  bool shifted(const double *row, double sign, std::vector<double> &out) const;

  // arguments of compute sna/atom for types that stand for these elements: all flags stated
  std::string arguments(const std::vector<int> &element_of_type) const;

 private:
  const Json *architecture_;
  bool quadratic_, chem_;
  std::size_t n_bispectrum_;
};

}    // namespace lmp_uq
#endif
