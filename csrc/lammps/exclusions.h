// SPDX-License-Identifier: GPL-2.0-or-later
// Pairs within the cutoff that LAMMPS keeps out of the neighbour list: which atoms are out as a whole, and what else is refused.
#ifndef LMP_UQ_EXCLUSIONS_H
#define LMP_UQ_EXCLUSIONS_H

#include "lammps/lmptype.h"

#include <string>
#include <vector>

namespace LAMMPS_NS {
class LAMMPS;
class NeighList;
}    // namespace LAMMPS_NS

namespace lmp_uq {

// Message passing needs every pair of the atoms that take part. neigh_modify exclude group G all leaves atoms without any: they take no part,
// so that the energy with an atom excluded is that with the atom deleted (the trial deletions of fix gcmc and fix charge/regulation).
class Exclusions {
 public:
  void forget() { known_ = false; }    // at the set-up of a run: LAMMPS will make its lists by new rules

  // With every new list, as groups may change on any step, but its pairs are those of the groups when it was made. Collective. An error where
  // it lacks pairs of atoms that take part.
  void update(LAMMPS_NS::LAMMPS *lmp, const LAMMPS_NS::NeighList &list, const std::vector<int> &species_of_type);

  const char *excluded() const { return excluded_.empty() ? nullptr : excluded_.data(); }    // (n_local + n_ghost) 1: takes no part

 private:
  // the list has no pair of an atom inside (outside) of one group with an atom of another
  struct Rule {
    int bit, other_bit;
    bool outside;
    std::string words, accepted;
  };

  void read_rules(LAMMPS_NS::LAMMPS *lmp);
  void check_rules(LAMMPS_NS::LAMMPS *lmp, const std::vector<int> &species_of_type) const;

  bool known_ = false;
  int out_ = 0;                // bits of the groups that are excluded from all
  std::vector<Rule> rules_;    // what else there is
  std::vector<char> excluded_;
};

}    // namespace lmp_uq
#endif
