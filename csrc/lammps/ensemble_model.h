// SPDX-License-Identifier: GPL-2.0-or-later
// One model of compute uq/ensemble: a sum of sub-styles with a weight.
#ifndef LMP_UQ_ENSEMBLE_MODEL_H
#define LMP_UQ_ENSEMBLE_MODEL_H

#include "sub_style.h"

#include <string>
#include <vector>

namespace lmp_uq {

struct EnsembleModel {
  double weight = 0.0;    // of the ensemble, sum 1
  std::vector<SubStyle> parts;

  // a weight above 0, and a sum such as snap+zbl
  static EnsembleModel read(LAMMPS_NS::LAMMPS *lmp, const char *who, const std::string &weight, const std::string &sum);

  std::string text() const;                                                              // as input scripts have it
  std::vector<LAMMPS_NS::Pair *> pairs(LAMMPS_NS::LAMMPS *lmp, const char *who) const;    // found anew, each once
};

// whether one of them has coefficients for an atom type
bool covers_type(const std::vector<LAMMPS_NS::Pair *> &pairs, int type, int n_types);

}    // namespace lmp_uq
#endif
