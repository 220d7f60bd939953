// SPDX-License-Identifier: GPL-2.0-or-later
// What ForceComputation answers of the whole system.
#include "force_computation.h"

#include "formulas/bars.h"
#include "over_ranks.h"
#include "virial_rows.h"

#include "lammps/atom.h"
#include "lammps/force.h"

#include <algorithm>
#include <array>

using namespace LAMMPS_NS;
using lmp_uq::ForceComputation;

double ForceComputation::energy()
{
  current_or_error();
  return sum_over_ranks(world, local_energy_);
}

// features summed over all atoms; returns the total energy
double ForceComputation::sum_features(std::vector<double> &sum)
{
  std::vector<double> of_this_rank(model_.info.n_features, 0.0);
  model_.evaluator->feature_sum(of_this_rank.data());
  sum = sum_over_ranks(world, of_this_rank);
  return sum_over_ranks(world, local_energy_);
}

void ForceComputation::totals(double std_lower_upper[3])
{
  current_or_error();
  guarded([&] {
    const auto watch = clock_.watch(StepClock::BARS);
    std::vector<double> sum;
    const double total = sum_features(sum);
    model_.evaluator->totals(sum.data(), total, std_lower_upper);
  });
}

void ForceComputation::member_energies(double *energies)
{
  current_or_error();
  guarded([&] {
    const auto watch = clock_.watch(StepClock::BARS);
    std::vector<double> sum;
    const double total = sum_features(sum);
    if (model_.info.has_readout && !leaves_known_ground()) return readout_energies(total, energies);
    model_.evaluator->member_energies(sum.data(), total, energies);
  });
}

void ForceComputation::readout_energies(double total, double *energies)
{
  std::vector<double> of_this_rank(model_.info.n_members + 1, 0.0);
  model_.evaluator->readout_energies(of_this_rank.data());
  const std::vector<double> added = sum_over_ranks(world, of_this_rank);
  for (int k = 0; k < model_.info.n_members; k++) energies[k] = total + added[k];
}

double ForceComputation::energy_error(double std)
{
  const auto &info = model_.info;
  std::array<double, 2> sums = {};    // of the grades, and of the atoms that have one
  if (info.energy_of_grade) {
    const double *grade = field({UQ_GRADE}), *part = participation();
    for (int i = 0; i < atom->nlocal; i++) {
      if (part[i] > 0.0) sums[0] += grade[i];
      sums[1] += part[i];
    }
    sums = sum_over_ranks(world, sums);
  }
  const EnergyBar bar = {info.energy_factor, info.energy_of_grade != 0, info.energy_intercept, info.energy_slope};
  return energy_bar(bar, std, sums[1] > 0.0 ? sums[0] / sums[1] : 0.0, sums[1]);
}

void ForceComputation::stress_std(double bar[6], bool of_pops)
{
  current_or_error();
  guarded([&] {
    const auto watch = clock_.watch(StepClock::BARS);
    of_pops = of_pops || !model_.info.has_readout || leaves_known_ground();
    compute_member_forces(of_pops);
  });
  members_.virial_std(of_pops, bar);
  for (int a = 0; a < 6; a++) bar[a] = bar[a] / volume_ * force->nktv2p;
}

std::vector<double> ForceComputation::heat_flux(int n_members)
{
  std::vector<double> flux;
  current_or_error();
  guarded([&] {
    const auto watch = clock_.watch(StepClock::MODEL);
    need_derivatives("heat fluxes", graph_.nodes().keep_images());
    const int first = model_.info.has_readout && n_members && !leaves_known_ground() ? model_.info.n_force_members : 0;
    flux = heat_.compute(*model_.evaluator, graph_, graph_view(), ghosts_, configuration_, energies_.data(), {first, n_members});
  });
  return flux;
}

void ForceComputation::total_features(double *sum)
{
  current_or_error();
  guarded([&] {
    std::vector<double> features;
    sum_features(features);
    std::copy(features.begin(), features.end(), sum);
  });
}

void ForceComputation::virial_rows(bool trace, double *rows)
{
  current_or_error();
  guarded([&] {
    const std::vector<double> all_rows = lmp_uq::virial_rows(world, *model_.evaluator, graph_view(), model_.info.n_features, trace);
    std::copy(all_rows.begin(), all_rows.end(), rows);
  });
}
