// SPDX-License-Identifier: GPL-2.0-or-later
#include "atom_maximum.h"

#include "pair_mace_uq.h"

#include "lammps/atom.h"
#include "lammps/lammps.h"

#include <limits>

using namespace LAMMPS_NS;

lmp_uq::AtomMaximum lmp_uq::find_maximum(LAMMPS *lmp, PairMaceUq &pair, int field, int groupbit)
{
  const double *values = pair.field(field), *part = pair.participation();
  const Atom &atom = *lmp->atom;
  // atoms that take no part have no value: their 0 must not win against negative energies
  auto counts = [&](int i) { return (atom.mask[i] & groupbit) && part[i] != 0.0; };
  double mine = -std::numeric_limits<double>::infinity(), all = 0.0;
  bool any = false;
  for (int i = 0; i < atom.nlocal; i++)
    if (counts(i) && (!any || values[i] > mine)) {
      mine = values[i];
      any = true;
    }
  MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_MAX, lmp->world);

  tagint my_tag = MAXTAGINT, tag = MAXTAGINT;
  int my_type = 0, type = 0;
  for (int i = 0; i < atom.nlocal; i++)
    if (counts(i) && values[i] == all && atom.tag[i] < my_tag) my_tag = atom.tag[i];
  MPI_Allreduce(&my_tag, &tag, 1, MPI_LMP_TAGINT, MPI_MIN, lmp->world);
  if (tag == MAXTAGINT) return {};
  for (int i = 0; i < atom.nlocal; i++)
    if (atom.tag[i] == tag) my_type = atom.type[i];
  MPI_Allreduce(&my_type, &type, 1, MPI_INT, MPI_MAX, lmp->world);
  return {all, tag, type};
}
