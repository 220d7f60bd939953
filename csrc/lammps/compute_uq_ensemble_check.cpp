// SPDX-License-Identifier: GPL-2.0-or-later
// ComputeUqEnsemble: runs, atoms and models for which a sub-style that is evaluated beside the run would not be the whole model, or would
// change something of the run.
#include "compute_uq_ensemble.h"

#include "lammps/atom.h"
#include "lammps/error.h"
#include "lammps/fix.h"
#include "lammps/force.h"
#include "lammps/lammps.h"
#include "lammps/modify.h"
#include "lammps/pair.h"
#include "lammps/update.h"
#include "lammps/utils.h"

#include <algorithm>
#include <cstring>

using namespace LAMMPS_NS;

static constexpr char WHO[] = "Compute uq/ensemble";
static constexpr char LIST[] = "pair_style hybrid/overlay, the partners with pair_modify pair X compute no";
static constexpr const char *ATOM_STYLES[] = {"atomic", "charge", "bond", "angle", "molecular", "full"};
static constexpr int OPT = 1;    // of Pair::suffix_flag: styles of package OPT do as their plain ones

void ComputeUqEnsemble::check() const
{
  check_run();
  check_atoms();
  check_companions();
  check_models();
}

void ComputeUqEnsemble::check_run() const
{
  if (!force->pair || strcmp(force->pair_style, "hybrid/overlay") != 0)
    error->all(FLERR, "{} found pair_style {} (accepted: {})", WHO, force->pair_style ? force->pair_style : "none", LIST);
  if (!force->newton_pair) error->all(FLERR, "{} needs newton pair on, found newton pair off", WHO);
  if (utils::strmatch(update->integrate_style, "^respa"))
    error->all(FLERR, "{} found run_style {}, which splits forces over levels (accepted: verlet)", WHO, update->integrate_style);
  if (lmp->kokkos) error->all(FLERR, "{} found package KOKKOS, which keeps forces elsewhere (accepted: a run without it)", WHO);
}

void ComputeUqEnsemble::check_atoms() const
{
  const auto known = [&](const char *style) { return strcmp(style, atom->atom_style) == 0; };
  if (std::none_of(std::begin(ATOM_STYLES), std::end(ATOM_STYLES), known))
    error->all(FLERR, "{} found atom_style {}, whose pair styles may add to more than forces: torques, densities, spins (accepted: {})", WHO,
               atom->atom_style, "atomic, charge; bond, angle, molecular, full without bonds");
  if (atom->nbonds > 0)
    error->all(FLERR, "{} found {} bonds: the special_bonds of a sub-style cannot be set from outside (accepted: atoms without bonds)", WHO,
               atom->nbonds);
}

// what a model may need beside its pair styles, and what listens to them
void ComputeUqEnsemble::check_companions() const
{
  if (force->kspace)
    error->all(FLERR, "{} found kspace_style {}: sub-styles are not the whole model then (accepted: models without it)", WHO, force->kspace_style);
  for (const Fix *fix : modify->get_fix_list())
    if (utils::strmatch(fix->style, "^qeq") || utils::strmatch(fix->style, "^acks2") || utils::strmatch(fix->style, "^qtpie"))
      error->all(FLERR, "{} found fix {} ({}): charges are made for the model that runs, not for the others (accepted: models without it)", WHO,
                 fix->id, fix->style);
  for (const Compute *compute : modify->get_compute_list())
    if (utils::strmatch(compute->style, "/tally$"))
      error->all(FLERR, "{} found compute {} ({}), which would count the pairs of every model (accepted: a run without it)", WHO, compute->id,
                 compute->style);
}

void ComputeUqEnsemble::check_models() const
{
  const auto found = pairs();
  for (std::size_t k = 0; k < found.size(); k++)
    for (const Pair *pair : found[k])
      if (pair->suffix_flag & ~OPT)
        error->all(FLERR, "{}: a style of model {} is of package GPU, INTEL or OPENMP, which keeps forces elsewhere (accepted: plain styles)", WHO,
                   models[k].text());

  const auto computing = lmp_uq::computing_sub_styles(lmp);
  if (computing.size() != found[0].size() || !std::is_permutation(computing.begin(), computing.end(), found[0].begin())) {
    std::string names;
    for (Pair *pair : computing) names += (names.empty() ? "" : "+") + lmp_uq::name_of(lmp, pair);
    error->all(FLERR, "{}: the first model is {}, the run computes {} (accepted: the model that runs first, pair_modify pair X compute no for "
               "the others)", WHO, models[0].text(), names.empty() ? "nothing" : names);
  }
  for (int type = 1; type <= atom->ntypes; type++)
    for (std::size_t k = 1; k < found.size(); k++)
      if (lmp_uq::covers_type(found[0], type, atom->ntypes) && !lmp_uq::covers_type(found[k], type, atom->ntypes))
        error->all(FLERR, "{}: model {} has no pair_coeff for atom type {}, which {} has (accepted: models of the same types)", WHO,
                   models[k].text(), type, models[0].text());
}
