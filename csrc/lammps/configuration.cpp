// SPDX-License-Identifier: GPL-2.0-or-later
#include "configuration.h"

#include "over_ranks.h"

#include "lammps/atom.h"
#include "lammps/domain.h"
#include "lammps/fmt/format.h"
#include "lammps/update.h"

#include <algorithm>
#include <cmath>

using lmp_uq::Configuration;
using namespace LAMMPS_NS;

// Angstrom: wrapping into the box and going through fractional coordinates round positions by less
static constexpr double TOLERANCE = 1e-8;

void Configuration::take()
{
  step_ = update->ntimestep;
  of_this_run_ = true;
  n_local_ = atom->nlocal;
  tags_.assign(atom->tag, atom->tag + atom->nlocal + atom->nghost);
  types_.assign(atom->type, atom->type + atom->nlocal);
  to_present_.reset();
  take_positions();
}

void Configuration::settle()
{
  of_this_run_ = false;
  if (taken() && atom->nlocal == n_local_) take_positions();
}

void Configuration::drop()
{
  step_ = -1;
  reordered_ = false;
}

static void read_box(const Domain &domain, double box[9])
{
  std::copy_n(domain.boxlo, 3, box);
  std::copy_n(domain.boxhi, 3, box + 3);
  box[6] = domain.xy;
  box[7] = domain.xz;
  box[8] = domain.yz;
}

void Configuration::take_positions()
{
  x_.resize(3 * static_cast<std::size_t>(n_local_));
  if (n_local_) std::copy_n(atom->x[0], x_.size(), x_.data());
  read_box(*domain, box_);
}

// Bounds where nothing is periodic are no part of it: LAMMPS shrinks them around the atoms when it next looks at them, and no pair feels it.
bool Configuration::box_moved() const
{
  double box[9];
  read_box(*domain, box);
  for (int k = 0; k < 9; k++)
    if ((k >= 6 || domain->periodicity[k % 3]) && !(std::fabs(box[k] - box_[k]) <= TOLERANCE)) return true;
  return false;
}

// beside periods of the box
bool Configuration::moved(const double *then, const double *now) const
{
  double d[3] = {now[0] - then[0], now[1] - then[1], now[2] - then[2]};
  const double z = domain->zperiodic ? std::round(d[2] / domain->zprd) : 0.0;
  d[0] -= z * domain->xz;
  d[1] -= z * domain->yz;
  d[2] -= z * domain->zprd;
  const double y = domain->yperiodic ? std::round(d[1] / domain->yprd) : 0.0;
  d[0] -= y * domain->xy;
  d[1] -= y * domain->yprd;
  if (domain->xperiodic) d[0] -= std::round(d[0] / domain->xprd) * domain->xprd;
  return !(std::fabs(d[0]) <= TOLERANCE && std::fabs(d[1]) <= TOLERANCE && std::fabs(d[2]) <= TOLERANCE);
}

bool Configuration::in_motion() const { return of_this_run_ && update->whichflag != 0; }

// what this rank can say alone: SAME, or that the others must be asked
Configuration::State Configuration::compare_here() const
{
  const bool same_nodes = atom->nlocal == n_local_ && atom->nlocal + atom->nghost == static_cast<int>(tags_.size()) &&
      std::equal(tags_.begin(), tags_.end(), atom->tag) && std::equal(types_.begin(), types_.end(), atom->type);
  if (!same_nodes) return REORDERED;
  if (in_motion()) return SAME;
  if (box_moved()) return CHANGED;
  for (int i = 0; i < n_local_; i++)
    if (moved(x_.data() + 3 * static_cast<std::size_t>(i), atom->x[i])) return CHANGED;
  return SAME;
}

Configuration::State Configuration::compare(std::string &what)
{
  reordered_ = false;
  if (max_over_ranks<int>(world, compare_here()) == SAME) return SAME;
  what = compare_everywhere();
  reordered_ = what.empty();
  return reordered_ ? REORDERED : CHANGED;
}

std::string Configuration::compare_everywhere()
{
  const auto [n_then, n_now] = sum_over_ranks(world, std::array<bigint, 2>{n_local_, atom->nlocal});
  if (n_then != n_now) return fmt::format("there were {} atoms, now {}", n_then, n_now);
  to_present_ = std::make_unique<AtomRoutes>(world, tags_.data(), n_local_, atom->tag, atom->nlocal);
  if (!to_present_->found_all()) return "atom IDs";
  int types = 0, positions = 0;    // changed here
  to_present_->fetch(
      4,
      [&](int i, double *row) {
        std::copy_n(x_.data() + 3 * static_cast<std::size_t>(i), 3, row);
        row[3] = types_[i];
      },
      [&](int i, const double *row) {
        if (static_cast<int>(row[3]) != atom->type[i]) types = 1;
        if (moved(row, atom->x[i])) positions = 1;
      });
  const bool at_rest = !in_motion();
  const auto [any_types, any_positions, any_box] =
      max_over_ranks(world, std::array<int, 3>{types, at_rest && positions, at_rest && box_moved()});
  return any_types ? "atom types or IDs" : any_box ? "the box" : any_positions ? "positions or atom IDs" : "";
}

void Configuration::follow(const double *then, int width, std::vector<double> &now) const
{
  now.resize(static_cast<std::size_t>(atom->nlocal) * width + 1);    // never empty: a pointer is handed over
  to_present_->fetch(
      width, [&](int i, double *row) { std::copy_n(then + static_cast<std::size_t>(i) * width, width, row); },
      [&](int i, const double *row) { std::copy_n(row, width, now.data() + static_cast<std::size_t>(i) * width); });
}

void Configuration::lead_back(const double *now, int width, double *then) const
{
  const auto add = [&](int i, const double *row) {
    for (int k = 0; k < width; k++) then[static_cast<std::size_t>(i) * width + k] += row[k];
  };
  if (reordered_)
    to_present_->gather(width, [&](int i, double *row) { std::copy_n(now + static_cast<std::size_t>(i) * width, width, row); }, add);
  else
    for (int i = 0; i < n_local_; i++) add(i, now + static_cast<std::size_t>(i) * width);
}
