// SPDX-License-Identifier: GPL-2.0-or-later
#include "exclusions.h"

#include "over_ranks.h"

#include "lammps/atom.h"
#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/group.h"
#include "lammps/lammps.h"
#include "lammps/neigh_list.h"
#include "lammps/neighbor.h"

using namespace LAMMPS_NS;
using lmp_uq::Exclusions;

static constexpr char EXCLUDE[] = "neigh_modify exclude group G all, which takes atoms out as a whole, or none";
static constexpr char HYBRID[] = "pair_style hybrid/overlay, or NULL in place of an element";

// the group of comm_modify group is a protected member
struct BorderGroup : Comm {
  static int of(const Comm &comm) { return comm.*(&BorderGroup::bordergroup); }
};

static void refuse(LAMMPS *lmp, const std::string &words, const std::string &accepted)
{
  lmp->error->all(FLERR,
                  "Pair style mace/uq: {} keeps pairs of atoms out of the neighbor list; message passing needs all of them: without some, the "
                  "features of their atoms are wrong, and so are the forces around them; accepted: {}", words, accepted);
}

static void check_types(LAMMPS *lmp, const NeighList &list, const std::vector<int> &species_of_type)
{
  const Neighbor &neighbor = *lmp->neighbor;
  for (int k = 0; k < neighbor.nex_type; k++) {
    const int i = neighbor.ex1_type[k], j = neighbor.ex2_type[k];
    if (species_of_type[i] >= 0 && species_of_type[j] >= 0) refuse(lmp, fmt::format("neigh_modify exclude type {} {}", i, j), EXCLUDE);
  }
  const int n_types = list.iskip ? lmp->atom->ntypes : 0;
  for (int i = 1; i <= n_types; i++)
    for (int j = i; j <= n_types; j++)
      if (species_of_type[i] >= 0 && species_of_type[j] >= 0 && (list.iskip[i] || list.iskip[j] || list.ijskip[i][j]))
        refuse(lmp, fmt::format("pair_coeff {} {} of another style in pair_style hybrid", i, j), HYBRID);
}

void Exclusions::read_rules(LAMMPS *lmp)
{
  const Neighbor &neighbor = *lmp->neighbor;
  const Group &group = *lmp->group;
  // 0 is the group all; a group that was deleted has no name
  auto name = [&](int g) { return std::string(group.names[g] ? group.names[g] : "?"); };
  const int all = group.bitmask[0];
  out_ = 0;
  rules_.clear();
  for (int k = 0; k < neighbor.nex_group; k++) {
    const int a = neighbor.ex1_group[k], b = neighbor.ex2_group[k];
    if (a == 0 || b == 0)
      out_ |= group.bitmask[a == 0 ? b : a];
    else
      rules_.push_back({group.bitmask[a], group.bitmask[b], false, "neigh_modify exclude group " + name(a) + " " + name(b), EXCLUDE});
  }
  for (int k = 0; k < neighbor.nex_mol; k++) {
    const int g = neighbor.ex_mol_group[k], bit = group.bitmask[g];
    const std::string kind = neighbor.ex_mol_intra[k] ? "intra " : "inter ";
    rules_.push_back({bit, bit, false, "neigh_modify exclude molecule/" + kind + name(g), EXCLUDE});
  }
  const int listed = neighbor.includegroup, sent = BorderGroup::of(*lmp->comm);
  if (listed) rules_.push_back({group.bitmask[listed], all, true, "neigh_modify include " + name(listed), "neigh_modify include all"});
  if (sent) rules_.push_back({group.bitmask[sent], all, true, "comm_modify group " + name(sent), "comm_modify group all"});
}

// a rule does no harm where one of its groups has no atom that takes part
void Exclusions::check_rules(LAMMPS *lmp, const std::vector<int> &species_of_type) const
{
  const Atom &atom = *lmp->atom;
  for (const auto &rule : rules_) {
    std::array<int, 2> taking_part = {};    // atoms here of either group
    for (int i = 0; i < atom.nlocal; i++) {
      if (species_of_type[atom.type[i]] < 0 || excluded_[i]) continue;
      if (((atom.mask[i] & rule.bit) != 0) != rule.outside) taking_part[0] = 1;
      if (atom.mask[i] & rule.other_bit) taking_part[1] = 1;
    }
    const auto [any_of_one, any_of_other] = max_over_ranks(lmp->world, taking_part);
    if (any_of_one && any_of_other) refuse(lmp, rule.words, rule.accepted);
  }
}

void Exclusions::update(LAMMPS *lmp, const NeighList &list, const std::vector<int> &species_of_type)
{
  const Atom &atom = *lmp->atom;
  if (!known_) {
    check_types(lmp, list, species_of_type);
    read_rules(lmp);
  }
  excluded_.assign(out_ || !rules_.empty() ? atom.nlocal + atom.nghost : 0, 0);
  for (std::size_t i = 0; i < excluded_.size(); i++) excluded_[i] = (atom.mask[i] & out_) != 0;
  known_ = false;    // unless all is well
  check_rules(lmp, species_of_type);
  known_ = true;
}
