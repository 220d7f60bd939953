// SPDX-License-Identifier: GPL-2.0-or-later
// Which computes of LAMMPS give the descriptors of a linear potential.
#ifndef LMP_UQ_DESCRIPTOR_SOURCE_H
#define LMP_UQ_DESCRIPTOR_SOURCE_H

#include "base/json.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace lmp_uq {

class DescriptorSource {
 public:
  enum Role { DESCRIPTORS, GRADIENT, VIRIAL };

  virtual ~DescriptorSource() = default;

  // backbone: of a linear potential, it has passed its checks
  static std::unique_ptr<DescriptorSource> of(const Json &backbone, std::size_t n_elements);

  virtual std::size_t n_descriptors() const = 0;    // of an atom: columns of the compute
  virtual std::string pair_style() const = 0;       // which runs the potential; empty if none is known

  // what follows `compute ID all` for types that stand for these elements
  virtual std::string compute(Role role, const std::vector<int> &element_of_type) const = 0;

  // Why another number of columns for each descriptor block may have been found; empty if nothing is known.
  virtual std::string hint(std::size_t) const { return ""; }

  // Settings that explain a wrong energy: descriptors (n_descriptors()) that another setting gives, and its words. False past the last.
  virtual bool alternative(std::size_t, const double *, std::vector<double> &, std::string &) const { return false; }

  // what to compare where nothing explains a wrong energy
  virtual std::string suspects() const = 0;
};

}    // namespace lmp_uq
#endif
