// SPDX-License-Identifier: GPL-2.0-or-later
#include "atom_maximum.h"

#include "force_computation.h"
#include "over_ranks.h"

#include "lammps/atom.h"
#include "lammps/lammps.h"

#include <limits>

using namespace LAMMPS_NS;

lmp_uq::AtomMaximum lmp_uq::find_maximum(LAMMPS *lmp, ForceComputation &last, const Field &field, int groupbit)
{
  const double *values = last.field(field), *part = last.participation();
  return find_maximum(lmp, values, part, groupbit);
}

lmp_uq::AtomMaximum lmp_uq::find_maximum(LAMMPS *lmp, const double *values, const double *part, int groupbit)
{
  const Atom &atom = *lmp->atom;
  // atoms that take no part have no value: their 0 must not win against negative energies
  auto counts = [&](int i) { return (atom.mask[i] & groupbit) && (!part || part[i] != 0.0); };
  double largest_here = -std::numeric_limits<double>::infinity();
  bool any = false;
  for (int i = 0; i < atom.nlocal; i++)
    if (counts(i) && (!any || values[i] > largest_here)) {
      largest_here = values[i];
      any = true;
    }
  const double largest = max_over_ranks(lmp->world, largest_here);

  tagint tag_here = MAXTAGINT;
  for (int i = 0; i < atom.nlocal; i++)
    if (counts(i) && values[i] == largest && atom.tag[i] < tag_here) tag_here = atom.tag[i];
  const tagint tag = min_over_ranks(lmp->world, tag_here);
  if (tag == MAXTAGINT) return {};
  int type_here = 0;
  for (int i = 0; i < atom.nlocal; i++)
    if (atom.tag[i] == tag) type_here = atom.type[i];
  return {largest, tag, max_over_ranks(lmp->world, type_here)};
}
