// SPDX-License-Identifier: GPL-2.0-or-later
// PairMaceUq: what the computes and fixes ask, of the atoms whose forces were computed last.
#include "pair_mace_uq.h"

#include "pair_mace_uq_impl.h"

#include "lammps/atom.h"
#include "lammps/error.h"
#include "lammps/force.h"
#include "lammps/update.h"

#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;
using lmp_uq::Configuration;
using lmp_uq::StepClock;

void PairMaceUq::current_or_error()
{
  const Configuration &configuration = impl->configuration;
  if (!configuration.taken())
    error->all(FLERR, "Pair style mace/uq: uncertainty was asked for on step {}, but it has computed no forces yet: run 0 first",
               update->ntimestep);
  if (configuration.step() != update->ntimestep)
    error->all(FLERR, "Pair style mace/uq: uncertainty was asked for on step {}, but forces were last computed on step {}",
               update->ntimestep, configuration.step());
  std::string what;
  Configuration::State state = Configuration::SAME;
  guarded([&] { state = impl->configuration.compare(what); });
  if (state == Configuration::CHANGED)
    error->all(FLERR, "Pair style mace/uq: atoms changed since the last force computation ({}): run 0 first", what);
  impl->reordered = state == Configuration::REORDERED;
}

void PairMaceUq::compute_force_norm()
{
  if (impl->has_force_norm) return;
  const int n = impl->graph.n_local();
  exchange(impl->forces.data(), 3, false);    // this style's own force: parts on ghosts go home, other styles' forces stay out
  if (impl->pending) std::rethrow_exception(impl->pending);
  impl->force_norm.resize(n + 1);
  for (int i = 0; i < n; i++) {
    const double *f = impl->forces.data() + 3 * static_cast<std::size_t>(i);
    impl->force_norm[i] = std::sqrt(f[0] * f[0] + f[1] * f[1] + f[2] * f[2]);
  }
  impl->has_force_norm = true;
}

const double *PairMaceUq::field(int index)
{
  current_or_error();
  guarded([&] { evaluate_field(index); });
  return as_present(impl->columns[index], impl->present[index]);
}

// into a column of the atoms whose forces were computed
void PairMaceUq::evaluate_field(int index)
{
  if (impl->evaluated[index]) return;
  const auto watch = impl->clock.watch(StepClock::BARS);
  if (lmp_uq::needs_pulls(index)) return force_bars();
  if (lmp_uq::needs_force_norm(index)) compute_force_norm();
  auto &column = impl->columns[index];
  const int n = impl->graph.n_local();
  column.resize(n + 1);
  impl->evaluator->per_atom(index, impl->force_norm.data(), column.data());
  for (int i = 0; i < n; i++) {
    if (!impl->graph.takes_part(i)) column[i] = 0.0;
    if (std::isnan(column[i])) fail_here(fmt::format("{} of atom {} is not a number", lmp_uq::FIELDS[index].name, impl->configuration.tag(i)));
  }
  impl->evaluated[index] = true;
}

const double *PairMaceUq::as_present(const std::vector<double> &rows, std::vector<double> &buffer, int width)
{
  if (!impl->reordered) return rows.data();
  guarded([&] { impl->configuration.follow(rows.data(), width, buffer); });
  return buffer.data();
}

const double *PairMaceUq::model_forces()
{
  current_or_error();
  guarded([&] { compute_force_norm(); });    // for it, parts on ghosts have gone home
  return as_present(impl->forces, impl->present_forces, 3);
}

const double *PairMaceUq::participation()
{
  current_or_error();
  impl->part.resize(impl->graph.n_local() + 1);
  for (int i = 0; i < impl->graph.n_local(); i++) impl->part[i] = impl->graph.takes_part(i);
  return as_present(impl->part, impl->present_part);
}

void PairMaceUq::totals(double std_lower_upper[3])
{
  current_or_error();
  guarded([&] {
    const auto watch = impl->clock.watch(StepClock::BARS);
    std::vector<double> sum;
    const double total = sum_features(sum);
    impl->evaluator->totals(sum.data(), total, std_lower_upper);
  });
}

// features summed over all atoms; returns the total energy
double PairMaceUq::sum_features(std::vector<double> &sum)
{
  std::vector<double> mine(impl->info.n_features, 0.0);
  sum.assign(impl->info.n_features, 0.0);
  impl->evaluator->feature_sum(mine.data());
  MPI_Allreduce(mine.data(), sum.data(), impl->info.n_features, MPI_DOUBLE, MPI_SUM, world);
  return sum_energy();
}

double PairMaceUq::sum_energy() const
{
  double total = 0.0;
  MPI_Allreduce(&impl->local_energy, &total, 1, MPI_DOUBLE, MPI_SUM, world);
  return total;
}

double PairMaceUq::energy()
{
  current_or_error();
  return sum_energy();
}

std::string PairMaceUq::element(int type) const { return impl->element_of_type[type]; }

void PairMaceUq::require_field(int index, const char *who)
{
  if (!impl->evaluator) error->all(FLERR, "{} must come after the pair_coeff command of pair style mace/uq", who);
  if (!impl->info.available[index])
    error->all(FLERR, "{}: field {} needs {}, which {} does not hold (see lmp-uq inspect; lmp-uq fit writes it)", who,
               lmp_uq::quantity(index).name, lmp_uq::quantity(index).needs, impl->file);
  if (lmp_uq::needs_pulls(index)) impl->derivatives_wanted = true;
}

bool PairMaceUq::has_field(int index) const { return impl->info.available[index]; }

PairMaceUq *PairMaceUq::find(LAMMPS *lmp, const char *who)
{
  auto pair = dynamic_cast<PairMaceUq *>(lmp->force->pair_match("mace/uq", 1));
  if (!pair) lmp->error->all(FLERR, "{} needs pair style mace/uq (exactly one), defined before it", who);
  return pair;
}

void *PairMaceUq::extract(const char *name, int &dim)
{
  dim = 0;
  if (strcmp(name, "cut") == 0) {
    impl->cutoff_copy = impl->info.cutoff;
    return &impl->cutoff_copy;
  }
  for (int index = 0; index < UQ_N_FIELDS; index++)
    if (std::string(name) == std::string(lmp_uq::FIELDS[index].name) + "_flag") return &impl->flags[index];
  return nullptr;
}

// fix pair calls this after the forces of its steps, and once when it is defined. A field is evaluated when it is first asked for on a step,
// so fix pair's flag has nothing to do; but fix pair does not come back at the set-up of a run, so who asks for a dear field is remembered.
void *PairMaceUq::extract_peratom(const char *name, int &n_columns)
{
  const int index = lmp_uq::find_field(name);
  if (index < 0) return nullptr;
  require_field(index, "fix pair");
  n_columns = 0;
  const bool dear = lmp_uq::needs_pulls(index);
  if (dear) impl->derivatives_observed = true;
  const bool of_this_step = update->whichflag != 0 && impl->configuration.step() == update->ntimestep;
  if (of_this_step && (impl->has_derivatives || !dear)) return const_cast<double *>(field(index));
  guarded([&] { impl->columns[index].resize(atom->nmax + 1); });
  return impl->columns[index].data();
}
