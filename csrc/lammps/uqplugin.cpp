// SPDX-License-Identifier: GPL-2.0-or-later
// Registers the styles, nothing else.
#include "plugin_api.h"

#include "compute_uq.h"
#include "compute_uq_atom.h"
#include "compute_uq_ensemble.h"
#include "compute_uq_heat.h"
#include "compute_uq_linear.h"
#include "fix_uq_average.h"
#include "fix_uq_bias.h"
#include "fix_uq_columns.h"
#include "fix_uq_forces.h"
#include "fix_uq_halt.h"
#include "fix_uq_select.h"
#include "guard.h"
#include "pair_mace_uq.h"

#include "lammps/error.h"
#include "lammps/lammps.h"

using namespace LAMMPS_NS;

namespace {

// An exception in a constructor would leave LAMMPS' C interface and end the process without a word.
template <class Style, class... Words> Style *made(LAMMPS *lmp, const char *who, Words... words)
{
  Style *style = nullptr;
  lmp_uq::guarded(lmp, who, [&] { style = new Style(lmp, words...); });
  return style;
}

Pair *new_pair_mace_uq(LAMMPS *lmp) { return made<PairMaceUq>(lmp, "Pair style mace/uq"); }
Compute *new_compute_uq_atom(LAMMPS *lmp, int narg, char **arg) { return made<ComputeUqAtom>(lmp, "Compute uq/atom", narg, arg); }
Compute *new_compute_uq(LAMMPS *lmp, int narg, char **arg) { return made<ComputeUq>(lmp, "Compute uq", narg, arg); }
Compute *new_compute_uq_ensemble(LAMMPS *lmp, int narg, char **arg) { return made<ComputeUqEnsemble>(lmp, "Compute uq/ensemble", narg, arg); }
Compute *new_compute_uq_heat(LAMMPS *lmp, int narg, char **arg) { return made<ComputeUqHeat>(lmp, "Compute uq/heat", narg, arg); }
Compute *new_compute_uq_linear(LAMMPS *lmp, int narg, char **arg) { return made<ComputeUqLinear>(lmp, "Compute uq/linear", narg, arg); }
Fix *new_fix_uq_average(LAMMPS *lmp, int narg, char **arg) { return made<FixUqAverage>(lmp, "Fix uq/average", narg, arg); }
Fix *new_fix_uq_bias(LAMMPS *lmp, int narg, char **arg) { return made<FixUqBias>(lmp, "Fix uq/bias", narg, arg); }
Fix *new_fix_uq_columns(LAMMPS *lmp, int narg, char **arg) { return made<FixUqColumns>(lmp, "Fix UQ/COLUMNS", narg, arg); }
Fix *new_fix_uq_forces(LAMMPS *lmp, int narg, char **arg) { return made<FixUqForces>(lmp, "Fix UQ/FORCES", narg, arg); }
Fix *new_fix_uq_halt(LAMMPS *lmp, int narg, char **arg) { return made<FixUqHalt>(lmp, "Fix uq/halt", narg, arg); }
Fix *new_fix_uq_select(LAMMPS *lmp, int narg, char **arg) { return made<FixUqSelect>(lmp, "Fix uq/select", narg, arg); }

void set_creator(lammpsplugin_t &plugin, Pair *(*creator)(LAMMPS *))
{
  plugin.creator.v1 = reinterpret_cast<lammpsplugin_factory1 *>(creator);
}

template <class Style> void set_creator(lammpsplugin_t &plugin, Style *(*creator)(LAMMPS *, int, char **))
{
  plugin.creator.v2 = reinterpret_cast<lammpsplugin_factory2 *>(creator);
}

}    // namespace

extern "C" void lammpsplugin_init(void *lmp_pointer, void *handle, void *register_pointer)
{
  auto lmp = static_cast<LAMMPS *>(lmp_pointer);
  auto register_style = reinterpret_cast<lammpsplugin_regfunc>(register_pointer);
  // LAMMPS has no stable C++ ABI: with other headers than the host's own, memory would be corrupted in silence
  if (lmp->num_ver != LMP_UQ_LAMMPS_VERSION)
    lmp->error->all(FLERR, "lmp-uq was built for LAMMPS {} and cannot be loaded into LAMMPS {}: reinstall lmp-uq beside this LAMMPS",
                    LMP_UQ_LAMMPS_VERSION, lmp->num_ver);

  lammpsplugin_t plugin = {};
  plugin.version = lmp->version;
  plugin.author = "lmp_uq";
  plugin.handle = handle;

  const auto add = [&](const char *kind, const char *name, const char *info, auto *creator) {
    plugin.style = kind;
    plugin.name = name;
    plugin.info = info;
    set_creator(plugin, creator);
    register_style(&plugin, lmp);
  };
  add("pair", "mace/uq", "MACE with POPS error bars", new_pair_mace_uq);
  add("compute", "uq/atom", "per-atom uncertainty", new_compute_uq_atom);
  add("compute", "uq", "global uncertainty", new_compute_uq);
  add("compute", "uq/ensemble", "disagreement of models", new_compute_uq_ensemble);
  add("compute", "uq/heat", "heat flux of MACE", new_compute_uq_heat);
  add("compute", "uq/linear", "uncertainty of a linear potential", new_compute_uq_linear);
  add("fix", "uq/halt", "stop where the model is not to be trusted", new_fix_uq_halt);
  add("fix", "uq/average", "thermal averages with error bars", new_fix_uq_average);
  add("fix", "uq/bias", "drive a run to what the model does not know", new_fix_uq_bias);
  add("fix", "UQ/COLUMNS", "per-atom columns of a compute, made by it", new_fix_uq_columns);
  add("fix", "UQ/FORCES", "positions and forces of a force computation, kept by a compute", new_fix_uq_forces);
  add("fix", "uq/select", "keep frames worth labelling", new_fix_uq_select);
}
