// SPDX-License-Identifier: GPL-2.0-or-later
// PairMaceUq: which of the pair styles of a run computes and fixes mean.
#include "pair_mace_uq.h"

#include "sub_style.h"

#include "lammps/error.h"
#include "lammps/lammps.h"

#include <algorithm>

using namespace LAMMPS_NS;

PairMaceUq *PairMaceUq::find(LAMMPS *lmp, const char *who, int number)
{
  auto found = lmp_uq::pairs_named(lmp, "mace/uq");
  const int n = static_cast<int>(found.size());
  if (n == 0) lmp->error->all(FLERR, "{} needs pair style mace/uq, defined before it", who);
  if (number > n) lmp->error->all(FLERR, "{}: pair is {}, the pair_style has {} mace/uq (accepted: 1 to {})", who, number, n, n);
  if (number == 0 && n > 1)
    found.erase(std::remove_if(found.begin(), found.end(), [](const Pair *pair) { return pair->compute_flag == 0; }), found.end());
  if (number == 0 && found.size() != 1)
    lmp->error->all(FLERR, "{}: of {} mace/uq the run computes {} (accepted: one, the others with pair_modify pair mace/uq N compute no; or "
                    "keyword pair N)", who, n, found.size());
  return dynamic_cast<PairMaceUq *>(found[number ? number - 1 : 0]);
}
