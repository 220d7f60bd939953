// SPDX-License-Identifier: GPL-2.0-or-later
// PairMaceUq: what the members of the ensemble say, beside the model that runs: forces, stress, energies.
#include "pair_mace_uq.h"

#include "pair_mace_uq_impl.h"

#include "lammps/error.h"
#include "lammps/force.h"
#include "lammps/update.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;
using lmp_uq::StepClock;

// Numbers of the largest buffer of gradients: 8 members at once up to 170,000 edges, fewer per pull beyond.
static constexpr int64_t MAX_GRADIENTS = 1 << 22;

int PairMaceUq::n_members() const { return impl->info.n_members; }

double PairMaceUq::error_factor(int index) const
{
  return index == UQ_ENERGY_ERROR ? impl->info.energy_factor : impl->info.stress_factor;
}

void PairMaceUq::member_energies(double *energies)
{
  current_or_error();
  guarded([&] {
    const auto watch = impl->clock.watch(StepClock::BARS);
    std::vector<double> sum;
    const double total = sum_features(sum);
    impl->evaluator->member_energies(sum.data(), total, energies);
  });
}

void PairMaceUq::derivatives_or_error()
{
  if (!impl->has_derivatives)
    error->all(FLERR,
               "Pair style mace/uq: force members were asked for on step {}, but nothing had asked for them when that run was set up, "
               "so its derivatives were not kept: run again",
               update->ntimestep);
}

// Forces and virials of every force member less those of the model, from the same pull. Collective.
void PairMaceUq::compute_member_forces()
{
  if (impl->has_members) return;
  derivatives_or_error();
  const int n_members = impl->info.n_force_members;
  const std::size_t width = 3 * static_cast<std::size_t>(n_members), stride = 3 * impl->graph.n_edges();
  impl->member_forces.assign(impl->graph.n_nodes() * width + 1, 0.0);
  impl->member_virials.assign(6 * static_cast<std::size_t>(n_members), 0.0);

  // every rank makes the same pulls
  int64_t mine = static_cast<int64_t>(stride) + 1, most = 1;
  MPI_Allreduce(&mine, &most, 1, MPI_INT64_T, MPI_MAX, world);
  const int batch = static_cast<int>(std::clamp<int64_t>(MAX_GRADIENTS / most, 1, n_members));
  std::vector<double> gradients(batch * stride + 1);
  for (int first = 0; first < n_members; first += batch) {
    const int n = std::min(batch, n_members - first);
    impl->evaluator->member_gradients(graph_view(), first, n, gradients.data());
    for (int k = 0; k < n; k++) {
      impl->graph.add_forces(gradients.data() + k * stride, impl->member_forces.data() + 3 * (first + k), width);
      impl->graph.virial(gradients.data() + k * stride, impl->member_virials.data() + 6 * (first + k), nullptr);
    }
  }
  exchange(impl->member_forces.data(), static_cast<int>(width), false);    // parts on ghosts go home, all members at once
  if (impl->pending) std::rethrow_exception(impl->pending);
  check_members_finite();
  impl->has_members = true;
}

void PairMaceUq::check_members_finite()
{
  const std::size_t width = impl->member_virials.size() / 2;
  for (int i = 0; i < impl->graph.n_local(); i++)
    for (std::size_t k = 0; k < width; k++)
      if (!std::isfinite(impl->member_forces[i * width + k]))
        fail_here(fmt::format("the force of member {} on atom {} is not a finite number", k / 3 + 1, impl->configuration.tag(i)));
}

// force_std and its components: root mean squares over the members of their distance from the model
void PairMaceUq::force_bars()
{
  compute_member_forces();
  const int n_members = impl->info.n_force_members, n = impl->graph.n_local();
  double *columns[4];
  for (int k = 0; k < 4; k++) {
    impl->columns[UQ_FORCE_STD + k].assign(n + 1, 0.0);
    columns[k] = impl->columns[UQ_FORCE_STD + k].data();
    impl->evaluated[UQ_FORCE_STD + k] = true;
  }
  for (int i = 0; i < n; i++) {
    if (!impl->graph.takes_part(i)) continue;
    const double *row = impl->member_forces.data() + 3 * static_cast<std::size_t>(i) * n_members;
    double square[3] = {};
    for (int k = 0; k < 3 * n_members; k++) square[k % 3] += row[k] * row[k] / n_members;
    columns[0][i] = std::sqrt(square[0] + square[1] + square[2]);
    for (int a = 0; a < 3; a++) columns[1 + a][i] = std::sqrt(square[a]);
  }
}

void PairMaceUq::stress_std(double bar[6])
{
  current_or_error();
  guarded([&] {
    const auto watch = impl->clock.watch(StepClock::BARS);
    compute_member_forces();
  });
  const auto &mine = impl->member_virials;
  std::vector<double> all(mine.size());
  MPI_Allreduce(mine.data(), all.data(), static_cast<int>(mine.size()), MPI_DOUBLE, MPI_SUM, world);
  for (int a = 0; a < 6; a++) {
    double square = 0.0;
    for (std::size_t k = a; k < all.size(); k += 6) square += all[k] * all[k] / impl->info.n_force_members;
    bar[a] = std::sqrt(square) / impl->volume * force->nktv2p;
  }
}
