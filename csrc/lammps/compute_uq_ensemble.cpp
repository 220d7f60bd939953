// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute_uq_ensemble.h"

#include "base/bytes.h"
#include "fix_uq_columns.h"
#include "fix_uq_forces.h"
#include "guard.h"
#include "over_ranks.h"

#include "lammps/atom.h"
#include "lammps/error.h"
#include "lammps/update.h"
#include "lammps/utils.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;
using lmp_uq::Configuration;

static constexpr char WHO[] = "Compute uq/ensemble";

ComputeUqEnsemble::ComputeUqEnsemble(LAMMPS *lmp, int narg, char **arg) : Compute(lmp, narg, arg), members(lmp)
{
  if (strcmp(update->unit_style, "metal") != 0)
    error->all(FLERR, "{} needs units metal (eV, Angstrom, ps), found units {}", WHO, update->unit_style);
  read_words(narg, arg);
  const int n = static_cast<int>(models.size());
  peratom_flag = scalar_flag = vector_flag = timeflag = peflag = 1;    // peflag: the run tallies its energy where it is asked for
  size_peratom_cols = n_columns() == 1 ? 0 : n_columns();
  extscalar = 0;
  totals.assign(2 + 2 * static_cast<std::size_t>(n), 0.0);
  size_vector = static_cast<int>(totals.size());
  vector = totals.data();
  extvector = -1;
  extlist = new int[totals.size()]();
  std::fill_n(extlist + 2 + n, n, 1);    // energies grow with the system
  dynamic_group_allow = 1;
}

void ComputeUqEnsemble::post_constructor()
{
  FixUqColumns::add(lmp, this, n_columns());
  FixUqForces::add(lmp, this);
}

ComputeUqEnsemble::~ComputeUqEnsemble()
{
  delete[] extlist;
  FixUqColumns::remove(lmp, this);
  FixUqForces::remove(lmp, this);
}

void ComputeUqEnsemble::read_words(int narg, char **arg)
{
  int at = 3;
  for (; at < narg && !utils::is_double(arg[at]); at++) {
    const std::string word = arg[at];
    if (word != "V" && word != "U" && word != "forces")
      error->all(FLERR, "{}: {} is neither a field nor a weight (accepted: V, U, forces, weight model weight model ...)", WHO, word);
    fields.push_back(word == "V" ? V : word == "U" ? U : FORCES);
  }
  if (fields.empty()) fields = {V, U};
  double sum = 0.0;
  for (; at < narg; at += 2) {
    if (at + 1 >= narg) error->all(FLERR, "{}: the weight {} has no model behind it (accepted: weight model weight model ...)", WHO, arg[at]);
    models.push_back(lmp_uq::EnsembleModel::read(lmp, WHO, arg[at], arg[at + 1]));
    sum += models.back().weight;
  }
  if (models.size() < 2)
    error->all(FLERR, "{} needs two models or more, found {} (accepted: weight model weight model ...)", WHO, models.size());
  for (auto &model : models) model.weight /= sum;
}

int ComputeUqEnsemble::n_columns() const
{
  int n = 0;
  for (const Field field : fields) n += field == FORCES ? 3 * static_cast<int>(models.size()) : 1;
  return n;
}

void ComputeUqEnsemble::init()
{
  check();
  FixUqColumns::of(lmp, this).release();
  FixUqForces::of(lmp, this);
  invoked_flag = INVOKED_NONE;    // commands that move atoms begin with this: what was evaluated before is asked for anew
}

std::vector<lmp_uq::EnsembleForces::Pairs> ComputeUqEnsemble::pairs() const
{
  std::vector<lmp_uq::EnsembleForces::Pairs> found;
  for (const auto &model : models) found.push_back(model.pairs(lmp, WHO));
  return found;
}

/* ---- a step ---------------------------------------------------------------------------------------------------------------- */

// Whether LAMMPS holds the atoms of the last force computation in their order; what is known of them can be told in any order.
bool ComputeUqEnsemble::in_order(bool known)
{
  const bool same = FixUqForces::of(lmp, this).compare(WHO) == Configuration::SAME;
  if (!same && !known)
    error->all(FLERR, "{}: atoms changed since the last force computation (their order, ranks or ghosts): run 0 first", WHO);
  return same;
}

// once for each force computation, whoever asks
void ComputeUqEnsemble::evaluate()
{
  const FixUqForces &run = FixUqForces::of(lmp, this);
  members.evaluate(pairs(), run);
  rows.resize(static_cast<std::size_t>(atom->nlocal) * n_columns() + 1);    // never empty: a pointer is handed over
  for (int i = 0; i < atom->nlocal; i++) fill_row(i, rows.data() + static_cast<std::size_t>(i) * n_columns());
  find_largest();
  of_forces = run.number();
}

static double square_of_difference(const double *a, const double *b)
{
  double sum = 0.0;
  for (int k = 0; k < 3; k++) sum += (a[k] - b[k]) * (a[k] - b[k]);
  return sum;
}

// the plain mean over models, (3): weights are for differences from it
static void mean_force(const lmp_uq::EnsembleForces &members, int n_models, int i, double *mean)
{
  std::fill_n(mean, 3, 0.0);
  for (int k = 0; k < n_models; k++)
    for (int a = 0; a < 3; a++) mean[a] += members.of(k, i)[a] / n_models;
}

void ComputeUqEnsemble::fill_row(int i, double *row)
{
  const int n = static_cast<int>(models.size());
  double mean[3], from_mean = 0.0, from_driver = 0.0;
  mean_force(members, n, i, mean);
  for (int k = 0; k < n; k++) {
    const double *force = members.of(k, i);
    if (!std::isfinite(force[0] + force[1] + force[2]))
      lmp_uq::fail_here(lmp, WHO, fmt::format("the force of {} on atom {} is not a finite number", models[k].text(), atom->tag[i]));
    from_mean += models[k].weight * square_of_difference(force, mean);
    from_driver += models[k].weight * square_of_difference(force, members.of(0, i));
  }
  for (const Field field : fields) {
    if (field == V) *row++ = std::sqrt(from_driver / (1.0 - models[0].weight));
    if (field == U) *row++ = std::sqrt(from_mean);
    if (field == FORCES)
      for (int k = 0; k < n; k++) row = std::copy_n(members.of(k, i), 3, row);
  }
}

// d of each model, and U of them: the largest distances from the mean over the atoms of the group
void ComputeUqEnsemble::find_largest()
{
  const int n = static_cast<int>(models.size());
  std::vector<double> squares(n, 0.0);
  for (int i = 0; i < atom->nlocal; i++) {
    if (!(atom->mask[i] & groupbit)) continue;
    double mean[3];
    mean_force(members, n, i, mean);
    for (int k = 0; k < n; k++) squares[k] = std::max(squares[k], square_of_difference(members.of(k, i), mean));
  }
  squares = lmp_uq::reduced_over_ranks(world, squares, MPI_MAX);
  double sum = 0.0;
  for (int k = 0; k < n; k++) {
    sum += models[k].weight * squares[k];
    totals[2 + k] = std::sqrt(squares[k]);
  }
  totals[0] = std::sqrt(sum);
}

// Codes have zeros of their own: energies are differences from those of the first sample, and so is their spread.
void ComputeUqEnsemble::evaluate_energies()
{
  const int n = static_cast<int>(models.size());
  const FixUqForces &run = FixUqForces::of(lmp, this);
  std::vector<double> energies(n);
  for (int k = 0; k < n; k++) energies[k] = k ? members.energy(k) : members.driver_energy(models[0].pairs(lmp, WHO), run);
  energies = lmp_uq::sum_over_ranks(world, energies);
  if (first_atoms != atom->natoms) first = energies;
  first_atoms = atom->natoms;
  double mean = 0.0, square = 0.0;
  for (int k = 0; k < n; k++) {
    totals[2 + n + k] = energies[k] - first[k];
    mean += models[k].weight * totals[2 + n + k];
  }
  for (int k = 0; k < n; k++) square += models[k].weight * (totals[2 + n + k] - mean) * (totals[2 + n + k] - mean);
  totals[1] = std::sqrt(square);
  of_energies = run.number();
}

// of the present forces, unless it is known
void ComputeUqEnsemble::need_evaluation(bool energies)
{
  const int now = FixUqForces::of(lmp, this).number();
  const bool known = of_forces == now, all_known = known && (!energies || of_energies == now);
  if (!in_order(all_known) || all_known) return;
  if (!known) evaluate();
  if (energies) evaluate_energies();
}

void ComputeUqEnsemble::compute_peratom()
{
  invoked_peratom = update->ntimestep;
  lmp_uq::guarded(lmp, WHO, [&] {
    need_evaluation(false);
    FixUqColumns &columns = FixUqColumns::of(lmp, this);
    const Configuration &atoms = FixUqForces::of(lmp, this).configuration();
    const std::size_t width = n_columns();
    std::vector<double> present;
    if (atoms.reordered()) atoms.follow(rows.data(), static_cast<int>(width), present);
    const double *values = atoms.reordered() ? present.data() : rows.data();
    columns.reserve();
    for (int i = 0; i < atom->nlocal; i++)
      for (std::size_t c = 0; c < width; c++) columns.row(i)[c] = (atom->mask[i] & groupbit) ? values[i * width + c] : 0.0;
    if (update->whichflag == 0) columns.hold();
  });
}

double ComputeUqEnsemble::compute_scalar()
{
  invoked_scalar = update->ntimestep;
  lmp_uq::guarded(lmp, WHO, [&] { need_evaluation(false); });
  return scalar = totals[0];
}

void ComputeUqEnsemble::compute_vector()
{
  invoked_vector = update->ntimestep;
  lmp_uq::guarded(lmp, WHO, [&] { need_evaluation(true); });
}

double ComputeUqEnsemble::memory_usage() { return static_cast<double>(lmp_uq::bytes_of(rows) + members.n_bytes()); }
