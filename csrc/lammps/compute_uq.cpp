// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute_uq.h"

#include "atom_maximum.h"
#include "field_words.h"
#include "force_computation.h"
#include "guard.h"
#include "over_ranks.h"
#include "pair_mace_uq.h"

#include "lammps/atom.h"
#include "lammps/error.h"
#include "lammps/update.h"

#include <algorithm>

using namespace LAMMPS_NS;

static constexpr char WHO[] = "Compute uq";

static constexpr char ACCEPTED[] = "energy_std, energy_lower, energy_upper, energy_error, members, stress_std, stress_error, or X_max, X_tag, "
                                   "X_mean with X one of";

ComputeUq::ComputeUq(LAMMPS *lmp, int narg, char **arg) : Compute(lmp, narg, arg)
{
  for (int at = 3; at < narg;)
    if (!lmp_uq::read_pair(lmp, WHO, narg, arg, at, number)) items.push_back(parse(narg, arg, at));
  if (items.empty()) error->all(FLERR, "Compute uq needs at least one field (accepted: {} {})", ACCEPTED, lmp_uq::field_names());
  require();
  for (const auto &item : items)
    if (item.kind < MAXIMUM && igroup != 0) error->all(FLERR, "Compute uq: the error bar of the total energy or stress needs group all");

  timeflag = 1;
  size_vector = lay_out();
  values.resize(size_vector);
  // energies shift with the zero of energy and grow with the system; bars do not
  auto extensive = [](const Item &item) { return item.kind == MEMBERS || (item.kind == TOTAL && item.index > 0) ? 1 : 0; };
  if (items.size() == 1 && items[0].kind != MEMBERS && items[0].width == 1) {
    scalar_flag = 1;
    extscalar = extensive(items[0]);
    return;
  }
  vector_flag = 1;
  extvector = -1;
  extlist = new int[size_vector];
  int *next = extlist;
  for (const auto &item : items) next = std::fill_n(next, item.width, extensive(item));
  vector = values.data();
}

ComputeUq::~ComputeUq() { delete[] extlist; }

PairMaceUq &ComputeUq::pair() const { return *PairMaceUq::find(lmp, WHO, number); }

lmp_uq::ForceComputation &ComputeUq::last() const { return pair().last(); }

const uq_model_info &ComputeUq::model_info() const { return pair().model().info; }

ComputeUq::Item ComputeUq::parse(int narg, char **arg, int &at)
{
  const std::string word = arg[at++];
  if (word == "energy_std") return {TOTAL, {UQ_ENERGY_STD}, 0};
  if (word == "energy_lower") return {TOTAL, {UQ_ENERGY_LOWER}, 1};
  if (word == "energy_upper") return {TOTAL, {UQ_ENERGY_UPPER}, 2};
  if (word == "energy_error") return {ENERGY_ERROR, {UQ_ENERGY_ERROR}};
  if (word == "members") return {MEMBERS, {UQ_MEMBERS}};
  if (word == "stress_std") return {STRESS_STD, {UQ_STRESS_STD}};
  if (word == "stress_error") return {STRESS_ERROR, {UQ_STRESS_ERROR}};
  const auto cut = word.rfind('_');
  const std::string suffix = cut == std::string::npos ? "" : word.substr(cut + 1);
  const bool known = suffix == "max" || suffix == "tag" || suffix == "mean";
  lmp_uq::Field field = {known ? lmp_uq::find_field(word.substr(0, cut)) : -1};
  if (field.index < 0) error->all(FLERR, "Unknown compute uq field {} (accepted: {} {})", word, ACCEPTED, lmp_uq::field_names());
  lmp_uq::read_threshold(lmp, WHO, word, narg, arg, at, field);
  return {suffix == "max" ? MAXIMUM : suffix == "tag" ? TAG : MEAN, field};
}

void ComputeUq::require()
{
  for (const auto &item : items) pair().require_field(item.needs, WHO);
}

// sets the columns of every item; returns the number of all columns
int ComputeUq::lay_out()
{
  int columns = 0;
  for (auto &item : items) {
    if (item.kind == MEMBERS) item.width = model_info().n_members;
    if (item.kind == STRESS_STD || item.kind == STRESS_ERROR) item.width = 6;
    columns += item.width;
  }
  return columns;
}

void ComputeUq::init()
{
  require();
  invoked_flag = INVOKED_NONE;    // commands that move atoms begin with this: what was evaluated before is asked for anew
  // who reads this vector has already noted its length
  const int columns = lay_out();
  if (columns != static_cast<int>(values.size()))
    error->all(FLERR, "Compute uq {} had {} values, but with the members of the present model file {}: define it again", id, values.size(),
               columns);
}

void ComputeUq::forget()
{
  invoked_flag = INVOKED_NONE;
  invoked_scalar = invoked_vector = -1;    // what the library interface looks at
}

double ComputeUq::compute_scalar()
{
  invoked_scalar = update->ntimestep;
  evaluate();
  return scalar = values[0];
}

void ComputeUq::compute_vector()
{
  invoked_vector = update->ntimestep;
  evaluate();
}

void ComputeUq::evaluate()
{
  lmp_uq::guarded(lmp, WHO, [&] { fill_all(); });
}

void ComputeUq::fill_all()
{
  ask_totals();
  double *next = values.data();
  for (const auto &item : items) {
    fill(item, next);
    next += item.width;
  }
}

// once, however many items are made of them
void ComputeUq::ask_totals()
{
  bool energy_asked = false, stress_asked = false, error_asked = false;
  for (const auto &item : items) {
    energy_asked = energy_asked || item.kind == TOTAL || item.kind == ENERGY_ERROR;
    stress_asked = stress_asked || item.kind == STRESS_STD;
    error_asked = error_asked || item.kind == STRESS_ERROR;
  }
  if (energy_asked) last().totals(total);
  if (error_asked) last().stress_std(stress_of_pops, true);
  if (stress_asked) last().stress_std(stress);
}

void ComputeUq::fill(const Item &item, double *out)
{
  if (item.kind == TOTAL) out[0] = total[item.index];
  if (item.kind == ENERGY_ERROR) out[0] = last().energy_error(total[0]);
  if (item.kind == STRESS_STD) std::copy_n(stress, 6, out);
  if (item.kind == STRESS_ERROR)
    for (int k = 0; k < 6; k++) out[k] = model_info().stress_factor * stress_of_pops[k];
  if (item.kind == MEMBERS) {
    if (item.width != model_info().n_members)
      error->all(FLERR, "Compute uq {}: the model file has {} members now, {} when the run was set up", id, model_info().n_members, item.width);
    last().member_energies(out);
  }
  if (item.kind == MEAN) out[0] = mean(item.needs);
  if (item.kind == MAXIMUM || item.kind == TAG) {
    const auto maximum = lmp_uq::find_maximum(lmp, last(), item.needs, groupbit);
    out[0] = item.kind == MAXIMUM ? maximum.value : static_cast<double>(maximum.tag);
  }
}

double ComputeUq::mean(const lmp_uq::Field &field)
{
  const double *atoms = last().field(field), *part = last().participation();
  double sum_here = 0.0, number_here = 0.0;
  for (int i = 0; i < atom->nlocal; i++)
    if ((atom->mask[i] & groupbit) && part[i] != 0.0) {
      sum_here += atoms[i];
      number_here += 1.0;
    }
  const auto [sum, number] = lmp_uq::sum_over_ranks(world, std::array<double, 2>{sum_here, number_here});
  return number > 0.0 ? sum / number : 0.0;
}

/* ---- for averages ---------------------------------------------------------------------------------------------------------- */

int ComputeUq::n_features() const { return model_info().n_features; }

int ComputeUq::n_members() const { return model_info().n_members; }

bool ComputeUq::has_readout() const { return model_info().has_readout; }

std::string ComputeUq::model() const { return pair().model().name_and_hash(); }

void ComputeUq::require_features(const char *who, bool)
{
  PairMaceUq::find(lmp, who, number)->require_field({UQ_ENERGY_STD}, who);
}

void ComputeUq::total_features(double *sum) { last().total_features(sum); }

void ComputeUq::virial_rows(bool trace, double *rows) { last().virial_rows(trace, rows); }

void ComputeUq::bars(const double *row, double value, double std_lower_upper[3]) { pair().row_bars(row, value, std_lower_upper); }

void ComputeUq::member_shifts(const double *row, double *shifts) { pair().member_shifts(row, shifts); }
