// SPDX-License-Identifier: GPL-2.0-or-later
// The model file that pair_coeff named, and which element of it each atom type is.
#ifndef LMP_UQ_LOADED_MODEL_H
#define LMP_UQ_LOADED_MODEL_H

#include "evaluator.h"
#include "fields.h"

#include <memory>
#include <string>
#include <vector>

namespace LAMMPS_NS {
class LAMMPS;
}

namespace lmp_uq {

inline constexpr char PAIR_STYLE[] = "Pair style mace/uq";    // begins the messages of the pair style and of its parts

struct LoadedModel {
  std::unique_ptr<Evaluator> evaluator;
  uq_model_info info = {};
  int threads = 1;                             // of this rank
  std::string file;                            // as the user wrote it
  std::vector<std::string> element_of_type;    // [1 ... ntypes], NULL for types that take no part
  std::vector<int> species_of_type;            // [1 ... ntypes], index into the evaluator's elements, or -1

  void name_types(int n_types, char **elements);
  // The file, of the elements that take part. Collective; an error on all ranks leaves no evaluator.
  void load(LAMMPS_NS::LAMMPS *lmp, const Settings &settings, const std::string &name);

  void require_loaded(LAMMPS_NS::LAMMPS *lmp, const char *who) const;
  // Error if the file does not hold what a field or total needs, or the threshold of a classifier.
  void require(LAMMPS_NS::LAMMPS *lmp, const Field &field, const char *who) const;

  // Backward passes that a field or total costs, for which the derivatives of the step are kept; 0: none.
  int passes(int index) const;

  std::string name_and_hash() const { return file + ", sha256 " + std::string(info.sha256).substr(0, 16); }
};

}    // namespace lmp_uq
#endif
