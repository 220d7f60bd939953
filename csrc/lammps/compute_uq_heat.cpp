// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute_uq_heat.h"

#include "force_computation.h"
#include "guard.h"
#include "loaded_model.h"
#include "pair_mace_uq.h"

#include "lammps/error.h"
#include "lammps/update.h"

using namespace LAMMPS_NS;

static constexpr char WHO[] = "Compute uq/heat";

ComputeUqHeat::ComputeUqHeat(LAMMPS *lmp, int narg, char **arg) : Compute(lmp, narg, arg)
{
  if (narg != 3) error->all(FLERR, "Compute uq/heat takes no arguments, found {} (accepted: compute ID all uq/heat)", arg[3]);
  if (igroup != 0) error->all(FLERR, "Compute uq/heat needs group all, found group {}: the flux of a part of the atoms is not defined", arg[1]);
  keep_derivatives();
  vector_flag = 1;
  size_vector = 6;
  extvector = 1;
  timeflag = 1;
  vector = flux;
}

void ComputeUqHeat::keep_derivatives()
{
  PairMaceUq *pair = PairMaceUq::find(lmp, WHO);
  pair->model().require_loaded(lmp, WHO);
  pair->last().keep_derivatives();
  pair->last().keep_images();
}

void ComputeUqHeat::init()
{
  keep_derivatives();
  invoked_flag = INVOKED_NONE;    // commands that move atoms begin with this: what was evaluated before is asked for anew
}

void ComputeUqHeat::forget()
{
  invoked_flag = INVOKED_NONE;
  invoked_vector = -1;
}

void ComputeUqHeat::compute_vector()
{
  invoked_vector = update->ntimestep;
  lmp_uq::guarded(lmp, WHO, [&] { PairMaceUq::find(lmp, WHO)->last().heat_flux(flux); });
}
