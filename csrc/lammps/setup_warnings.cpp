// SPDX-License-Identifier: GPL-2.0-or-later
#include "setup_warnings.h"

#include "base/elements.h"
#include "launcher_check.h"

#include "lammps/atom.h"
#include "lammps/compute.h"
#include "lammps/fmt/format.h"
#include "lammps/lammps.h"
#include "lammps/modify.h"

#include <cmath>
#include <cstring>
#include <thread>

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

// of ranks alone LAMMPS' users know
static std::string too_many_threads(MPI_Comm communicator, int threads)
{
  const int n_ranks = lmp_uq::place_in_node(communicator).n_ranks;
  const unsigned n_cores = std::thread::hardware_concurrency();    // 0: not known
  if (threads == 1 || n_cores == 0 || static_cast<unsigned>(n_ranks * threads) <= n_cores) return "";
  return fmt::format("threads is {}, for each of {} rank{} on a node of {} core{}: threads that wait for a core slow the others down", threads,
                     n_ranks, n_ranks == 1 ? "" : "s", n_cores, n_cores == 1 ? "" : "s");
}

std::vector<std::string> lmp_uq::setup_warnings(LAMMPS *lmp, const std::vector<std::string> &element_of_type, int threads)
{
  std::vector<std::string> out;
  const std::string crowd = too_many_threads(lmp->world, threads);
  if (!crowd.empty()) out.push_back(crowd);
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
