// SPDX-License-Identifier: GPL-2.0-or-later
#include "setup_warnings.h"

#include "base/elements.h"

#include "lammps/atom.h"
#include "lammps/compute.h"
#include "lammps/fmt/format.h"
#include "lammps/lammps.h"
#include "lammps/modify.h"

#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;

// neighbours in the periodic table differ by 1 to 4 u, but for Co and Ni; isotopes by 1 and more, so they are asked about too
static constexpr double MASS_TOLERANCE = 0.5;

static std::string contradicting_masses(const Atom &atom, const std::vector<std::string> &element_of_type)
{
  std::string found;
  if (atom.rmass || !atom.mass) return found;    // masses of atoms, which is no question of types
  for (int type = 1; type <= atom.ntypes; type++) {
    const double weight = lmp_uq::atomic_weight(element_of_type[type]);
    if (weight == 0.0 || !atom.mass_setflag[type] || std::fabs(atom.mass[type] - weight) < MASS_TOLERANCE) continue;
    found += fmt::format("{}type {} is {} ({} u) in pair_coeff and has mass {:g}", found.empty() ? "" : ", ", type, element_of_type[type],
                         weight, atom.mass[type]);
  }
  return found;
}

std::vector<std::string> lmp_uq::setup_warnings(LAMMPS *lmp, const std::vector<std::string> &element_of_type)
{
  std::vector<std::string> out;
  const std::string masses = contradicting_masses(*lmp->atom, element_of_type);
  if (!masses.empty())
    out.push_back(masses + ": the order of the elements is that of the atom types; isotopes and repartitioned masses may be meant");
  for (const auto *compute : lmp->modify->get_compute_list())
    if (strcmp(compute->style, "heat/flux") == 0)
      out.push_back(fmt::format("compute {} heat/flux is not the heat flux of this potential: per-atom stress shares the virial of an edge "
                                "equally between its ends, which is right for pair potentials only; compute uq/heat gives it",
                                compute->id));
  return out;
}
