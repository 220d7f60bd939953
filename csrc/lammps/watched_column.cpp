// SPDX-License-Identifier: GPL-2.0-or-later
#include "watched_column.h"

#include "field_words.h"
#include "force_computation.h"
#include "pair_mace_uq.h"

#include "lammps/atom.h"
#include "lammps/compute.h"
#include "lammps/error.h"
#include "lammps/lammps.h"
#include "lammps/modify.h"
#include "lammps/update.h"
#include "lammps/utils.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

using namespace LAMMPS_NS;
using lmp_uq::WatchedColumn;

WatchedColumn WatchedColumn::read(LAMMPS *lmp, const char *who, int n_words, char **words, int &at)
{
  WatchedColumn out;
  out.word_ = words[at];
  if (out.word_.rfind("c_", 0) != 0) {
    out.field_ = read_field(lmp, who, n_words, words, at);
    return out;
  }
  at++;
  const std::size_t bracket = out.word_.find('[');
  out.id_ = out.word_.substr(2, bracket == std::string::npos ? bracket : bracket - 2);
  if (bracket != std::string::npos) {
    const std::string rest = out.word_.substr(bracket + 1), digits = rest.substr(0, rest.size() - (rest.empty() ? 0 : 1));
    out.column_ = utils::is_integer(digits) && rest.back() == ']' && digits.size() < 9 ? std::atoi(digits.c_str()) : 0;
    if (out.column_ < 1) lmp->error->all(FLERR, "{}: {} is no column (accepted: a field, c_ID, or c_ID[n] with n of 1 or more)", who, out.word_);
  }
  out.compute(lmp, who);
  return out;
}

Compute *WatchedColumn::compute(LAMMPS *lmp, const char *who) const
{
  Compute *found = lmp->modify->get_compute_by_id(id_);
  if (!found) lmp->error->all(FLERR, "{}: there is no compute {} (accepted: a field, c_ID or c_ID[n] of a per-atom compute)", who, id_);
  if (!found->peratom_flag) lmp->error->all(FLERR, "{}: compute {} has no per-atom values (accepted: a per-atom compute)", who, id_);
  const int columns = found->size_peratom_cols;
  if ((columns == 0) != (column_ == 0) || column_ > columns)
    lmp->error->all(FLERR, "{}: {} is not there (accepted: {})", who, word_, columns ? fmt::format("c_{}[1] to c_{}[{}]", id_, id_, columns) : "c_" + id_);
  return found;
}

std::string WatchedColumn::name() const
{
  if (is_field()) return field_.info().name;
  return "c_" + id_ + (column_ ? "_" + std::to_string(column_) : "");
}

void WatchedColumn::require(LAMMPS *lmp, const char *who, int pair_number, bigint next) const
{
  if (is_field()) return PairMaceUq::find(lmp, who, pair_number)->require_field(field_, who);
  if (compute(lmp, who)->timeflag) compute(lmp, who)->addstep(next);
}

void WatchedColumn::check_limit(LAMMPS *lmp, const char *who, double limit) const
{
  if (is_field()) lmp_uq::check_limit(lmp, who, field_, limit);
}

// As LAMMPS' own fixes ask: once for a step, whoever else asks, and told before. Atoms without a value have 0.
lmp_uq::AtomMaximum WatchedColumn::maximum(LAMMPS *lmp, const char *who, int pair_number, int groupbit, bigint next) const
{
  if (is_field()) return find_maximum(lmp, PairMaceUq::find(lmp, who, pair_number)->last(), field_, groupbit);
  Compute *source = compute(lmp, who);
  if (!(source->invoked_flag & Compute::INVOKED_PERATOM) || source->invoked_peratom != lmp->update->ntimestep) {
    source->compute_peratom();
    source->invoked_flag |= Compute::INVOKED_PERATOM;
  }
  if (source->timeflag) source->addstep(next);
  std::vector<double> values(lmp->atom->nlocal);
  for (int i = 0; i < lmp->atom->nlocal; i++) values[i] = value(lmp, who, i);
  return find_maximum(lmp, values.data(), nullptr, groupbit);
}

double WatchedColumn::value(LAMMPS *lmp, const char *who, int i) const
{
  const Compute *source = compute(lmp, who);
  const double value = column_ ? source->array_atom[i][column_ - 1] : source->vector_atom[i];
  return std::isnan(value) ? HUGE_VAL : value;    // the worst, not one that no threshold sees
}
