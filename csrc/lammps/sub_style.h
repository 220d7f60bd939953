// SPDX-License-Identifier: GPL-2.0-or-later
// Sub-styles of pair_style hybrid/overlay as commands of this plugin name them, found by what Force says of them.
#ifndef LMP_UQ_SUB_STYLE_H
#define LMP_UQ_SUB_STYLE_H

#include <string>
#include <vector>

namespace LAMMPS_NS {
class LAMMPS;
class Pair;
}    // namespace LAMMPS_NS

namespace lmp_uq {

// name, or name:n for the n-th of those with this name, from 1
struct SubStyle {
  std::string name;
  int number = 0;    // 0: there is one

  static SubStyle read(LAMMPS_NS::LAMMPS *lmp, const char *who, const std::string &word);
  std::string text() const { return number ? name + ":" + std::to_string(number) : name; }

  // of the present pair style; an error where there is none, or where there are several and no number. Nobody keeps it beyond one call.
  LAMMPS_NS::Pair *find(LAMMPS_NS::LAMMPS *lmp, const char *who) const;
};

// All pair styles with this name, in the order of the pair_style command.
std::vector<LAMMPS_NS::Pair *> pairs_named(LAMMPS_NS::LAMMPS *lmp, const std::string &name);

// The sub-styles of pair_style hybrid/overlay that the run computes: not those with pair_modify pair X compute no.
std::vector<LAMMPS_NS::Pair *> computing_sub_styles(LAMMPS_NS::LAMMPS *lmp);

// How an input script calls a sub-style.
std::string name_of(LAMMPS_NS::LAMMPS *lmp, LAMMPS_NS::Pair *pair);

}    // namespace lmp_uq
#endif
