// SPDX-License-Identifier: GPL-2.0-or-later
// ComputeUqLinear: whether the other compute gives the descriptors that the file's Theta belongs to. A flag that differs between them
// changes every bar in silence, so the potential that runs is the judge.
#include "compute_uq_linear.h"

#include "linear/linear_potential.h"
#include "over_ranks.h"

#include "lammps/atom.h"
#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/force.h"
#include "lammps/pair.h"
#include "lammps/update.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;

static constexpr double ENERGY_TOLERANCE = 1e-8;    // relative, or eV where the energy is below 1 eV: sums of thousands of products of doubles
static constexpr double FORCE_TOLERANCE = 1e-6;     // relative to the largest force: sums over neighbours in another order

void ComputeUqLinear::setup()
{
  if (!check) return;
  if (pair_style.empty() || !force->pair_match(pair_style, 1))
    error->all(FLERR, "Compute uq/linear: there is no pair style {}to compare energies with; accepted: the pair style that lmp-uq export writes, "
               "keyword pair for one of another name, or check no", pair_style + (pair_style.empty() ? "" : " "));
  guarded([&] {
    check_energy();
    if (!gradient_id.empty() || !virial_id.empty()) check_derivatives();
  });
}

static bool agree(double a, double b) { return std::fabs(a - b) <= ENERGY_TOLERANCE * std::max(1.0, std::fabs(b)); }

void ComputeUqLinear::check_energy()
{
  if (update->eflag_global != update->ntimestep) return;    // not tallied: a run that skips its set-up
  const Pair *pair = force->pair_match(pair_style, 1);
  const double pair_energy = lmp_uq::sum_over_ranks(world, pair->eng_vdwl + pair->eng_coul);
  invoke(descriptors());
  std::string words;
  const double own = own_energy(element_of_type, -1, words);
  if (agree(own, pair_energy)) return;
  const std::string why = diagnose(pair_energy);
  error->all(FLERR, "Compute uq/linear: Theta.D of compute {} is {:.10g} eV, the energy of pair style {} {:.10g} eV: {}; accepted: {}, and the "
             "potential that lmp-uq export writes of {}", descriptor_id, own, pair_style, pair_energy, why, accepted(Role::DESCRIPTORS), file);
}

// sum of Theta*.D over the atoms of all ranks, eV; setting: with descriptors that another setting gives, -1: as they are
double ComputeUqLinear::own_energy(const std::vector<int> &elements, long setting, std::string &words)
{
  double energy_here = 0.0;
  Compute *source = descriptors();
  std::vector<double> other;
  for (int i = 0; i < atom->nlocal; i++) {
    const int element = elements[atom->type[i]];
    if (element < 0) continue;
    const double *row = row_of(source, i);
    if (setting >= 0 && potential->descriptors().alternative(setting, row, other, words)) row = other.data();
    energy_here += potential->energy(element, row);
  }
  return lmp_uq::sum_over_ranks(world, energy_here);
}

// what alone would explain the difference
std::string ComputeUqLinear::diagnose(double pair_energy)
{
  std::string words;
  for (const long setting : {0, 1})
    if (agree(own_energy(element_of_type, setting, words), pair_energy)) return words;
  std::vector<int> order = element_of_type;
  std::sort(order.begin() + 1, order.end());
  if (order.size() <= 6) {
    do {
      if (order == element_of_type || !agree(own_energy(order, -1, words), pair_energy)) continue;
      std::string names;
      for (std::size_t type = 1; type < order.size(); type++) names += " " + (order[type] < 0 ? "NULL" : potential->elements()[order[type]]);
      return "the pair style has the types in another order, elements" + names;
    } while (std::next_permutation(order.begin() + 1, order.end()));
  }
  double own = 0.0;
  const std::vector<double> features = feature_sum(own);
  auto &head = potential->posterior();
  std::vector<double> members(head.n_members());
  head.member_energies(features.data(), own, members.data());
  for (std::size_t k = 0; k < members.size(); k++)
    if (agree(members[k], pair_energy)) return fmt::format("the pair style runs member {}, not the mean", k + 1);
  return potential->descriptors().suspects();
}

// The pair style's own forces and virial, without those of others: it is run once more into an empty array.
void ComputeUqLinear::check_derivatives()
{
  Pair *pair = force->pair_match(pair_style, 1);
  const std::size_t n_numbers = 3 * static_cast<std::size_t>(atom->nlocal + atom->nghost);
  double none = 0.0, *f = n_numbers ? &atom->f[0][0] : &none, kept_virial[6], virial[6];
  const std::vector<double> kept(f, f + n_numbers);
  std::copy_n(pair->virial, 6, kept_virial);
  std::fill(f, f + n_numbers, 0.0);
  pair->compute(0, VIRIAL_PAIR);
  if (force->newton_pair) comm->reverse_comm();
  std::copy_n(pair->virial, 6, virial);
  std::copy_n(kept_virial, 6, pair->virial);
  double worst = 0.0, largest = 0.0;
  if (!gradient_id.empty()) compare_forces(worst, largest);
  std::copy(kept.begin(), kept.end(), f);
  if (!gradient_id.empty() && worst > FORCE_TOLERANCE * std::max(1.0, largest))
    error->all(FLERR, "Compute uq/linear: Theta times compute {} differs by {:.4g} eV/Angstrom from the forces of pair style {}; accepted: {}",
               gradient_id, worst, pair_style, accepted(Role::GRADIENT));
  if (!virial_id.empty()) check_virial(virial);
}

// largest difference of a force component, largest force component, over all ranks
void ComputeUqLinear::compare_forces(double &worst, double &largest)
{
  const std::size_t width = potential->width();
  Compute *source = gradient();
  invoke(source);
  double worst_here = 0.0, largest_here = 0.0;
  for (int i = 0; i < atom->nlocal; i++)
    for (int a = 0; a < 3; a++) {
      rows.assign(width, 0.0);
      gradient_row(source, i, a, rows.data());
      worst_here = std::max(worst_here, std::fabs(potential->row_energy(rows.data()) - atom->f[i][a]));
      largest_here = std::max(largest_here, std::fabs(atom->f[i][a]));
    }
  const auto over_all = lmp_uq::max_over_ranks(world, std::array<double, 2>{worst_here, largest_here});
  worst = over_all[0];
  largest = over_all[1];
}

// virial (6): what the pair style has tallied on this rank, eV
void ComputeUqLinear::check_virial(const double *virial)
{
  const std::vector<double> rows_of_system = virial_sum();
  double largest = 1.0, worst = 0.0;
  for (int a = 0; a < 6; a++) {
    const double tallied = lmp_uq::sum_over_ranks(world, virial[a]);
    largest = std::max(largest, std::fabs(tallied));
    worst = std::max(worst, std::fabs(potential->row_energy(rows_of_system.data() + a * potential->width()) - tallied));
  }
  if (worst > FORCE_TOLERANCE * largest)
    error->all(FLERR, "Compute uq/linear: Theta times compute {} differs by {:.4g} eV from the virial of pair style {}; accepted: {}",
               virial_id, worst, pair_style, accepted(Role::VIRIAL));
}
