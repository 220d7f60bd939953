// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute_uq_atom.h"

#include "field_words.h"
#include "fix_uq_columns.h"
#include "force_computation.h"
#include "guard.h"
#include "pair_mace_uq.h"

#include "lammps/atom.h"
#include "lammps/error.h"
#include "lammps/update.h"

using namespace LAMMPS_NS;

static constexpr char WHO[] = "Compute uq/atom";

ComputeUqAtom::ComputeUqAtom(LAMMPS *lmp, int narg, char **arg) : Compute(lmp, narg, arg)
{
  for (int at = 3; at < narg;)
    if (!lmp_uq::read_pair(lmp, WHO, narg, arg, at, number)) fields.push_back(lmp_uq::read_field(lmp, WHO, narg, arg, at));
  if (fields.empty()) error->all(FLERR, "Compute uq/atom needs at least one field (accepted: {})", lmp_uq::field_names());
  require();
  peratom_flag = 1;
  size_peratom_cols = fields.size() == 1 ? 0 : static_cast<int>(fields.size());
  timeflag = 1;
}

void ComputeUqAtom::post_constructor() { FixUqColumns::add(lmp, this, static_cast<int>(fields.size())); }

ComputeUqAtom::~ComputeUqAtom() { FixUqColumns::remove(lmp, this); }

void ComputeUqAtom::require()
{
  PairMaceUq *pair = PairMaceUq::find(lmp, WHO, number);
  for (const auto &field : fields) pair->require_field(field, WHO);
}

void ComputeUqAtom::init()
{
  require();
  FixUqColumns::of(lmp, this).release();
  invoked_flag = INVOKED_NONE;    // commands that move atoms begin with this: what was evaluated before is asked for anew
}

void ComputeUqAtom::compute_peratom()
{
  invoked_peratom = update->ntimestep;
  lmp_uq::guarded(lmp, WHO, [&] {
    lmp_uq::ForceComputation &last = PairMaceUq::find(lmp, WHO, number)->last();
    FixUqColumns &columns = FixUqColumns::of(lmp, this);
    columns.reserve();
    for (std::size_t k = 0; k < fields.size(); k++) {
      const double *values = last.field(fields[k]);
      for (int i = 0; i < atom->nlocal; i++) columns.row(i)[k] = (atom->mask[i] & groupbit) ? values[i] : 0.0;
    }
    if (update->whichflag == 0) columns.hold();
  });
}
