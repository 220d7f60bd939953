// SPDX-License-Identifier: GPL-2.0-or-later
// What ForceComputation answers of each atom.
#include "force_computation.h"

#include "guard.h"
#include "over_ranks.h"

#include "lammps/atom.h"
#include "lammps/error.h"
#include "lammps/fmt/format.h"
#include "lammps/pair.h"
#include "lammps/update.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;
using lmp_uq::ForceComputation;

void ForceComputation::current_or_error()
{
  if (pair_.compute_flag == 0 && configuration_.step() != update->ntimestep)
    error->all(FLERR, "Pair style mace/uq: uncertainty of a sub-style with pair_modify compute no was asked for on step {}; accepted: on steps on "
               "which compute uq/ensemble has evaluated it before", update->ntimestep);
  if (!configuration_.taken())
    error->all(FLERR, "Pair style mace/uq: uncertainty was asked for on step {}, but it has computed no forces yet: run 0 first",
               update->ntimestep);
  if (configuration_.step() != update->ntimestep)
    error->all(FLERR, "Pair style mace/uq: uncertainty was asked for on step {}, but forces were last computed on step {}",
               update->ntimestep, configuration_.step());
  std::string what;
  Configuration::State state = Configuration::SAME;
  guarded([&] { state = configuration_.compare(what); });
  if (state == Configuration::CHANGED)
    error->all(FLERR, "Pair style mace/uq: atoms changed since the last force computation ({}): run 0 first", what);
}

const double *ForceComputation::as_present(const std::vector<double> &rows, std::vector<double> &buffer, int width)
{
  const Nodes &nodes = graph_.nodes();
  if (nodes.are_all_atoms() && !configuration_.reordered()) return rows.data();
  guarded([&] {
    if (configuration_.reordered())
      configuration_.follow(nodes.to_atoms(rows.data(), width).data(), width, buffer);
    else
      buffer = nodes.to_atoms(rows.data(), width);
  });
  return buffer.data();
}

ForceComputation::Column &ForceComputation::column_of(const Field &asked)
{
  return asked.has_threshold() ? at_threshold_[{asked.index, asked.threshold}] : columns_[asked.index];
}

const double *ForceComputation::field(const Field &asked)
{
  current_or_error();
  guarded([&] { evaluate_field(asked); });
  Column &column = column_of(asked);
  return as_present(column.values, column.present);
}

// into a column of the nodes whose forces were computed
const ForceComputation::Column &ForceComputation::evaluate_field(const Field &asked)
{
  Column &column = column_of(asked);
  if (column.known) return column;
  const auto watch = clock_.watch(StepClock::BARS);
  if (asked.info().dear) {
    compute_member_forces();
    std::vector<double> *std[4];
    for (int k = 0; k < 4; k++) std[k] = &columns_[UQ_FORCE_STD + k].values;
    members_.force_std(*model_.evaluator, graph_, model_.info.has_readout ? evaluate_field({UQ_GRADE}).values.data() : nullptr, std);
    for (int k = 0; k < 4; k++) columns_[UQ_FORCE_STD + k].known = true;
    return column;
  }
  evaluate_cheap(asked, column.values);
  column.known = true;
  return column;
}

void ForceComputation::evaluate_cheap(const Field &asked, std::vector<double> &column)
{
  const int n = graph_.n_local();
  column.resize(n + 1);
  if (asked.index == UQ_NEIGHBOUR_GRADE) {
    neighbour_grade_.compute(*model_.evaluator, graph_, ghosts_, evaluate_field({UQ_GRADE}).values.data(), column.data());
  } else if (asked.info().of_force) {
    const uq_force_variables variables = force_variables();
    model_.evaluator->per_atom(asked.index, &variables, asked.threshold, column.data());
  } else {
    model_.evaluator->per_atom(asked.index, nullptr, 0.0, column.data());
  }
  for (int i = 0; i < n; i++)
    if (std::isnan(column[i]))
      fail_here(fmt::format("{} of atom {} is not a number", asked.text(), configuration_.tag(graph_.nodes().atom(i))));
}

uq_force_variables ForceComputation::force_variables()
{
  uq_force_variables out = {norms_.of_model(graph_, ghosts_, forces_), evaluate_field({UQ_NEIGHBOUR_GRADE}).values.data(), nullptr};
  if (model_.info.uses_correction) {
    need_derivatives("bars made of the mean correction");
    out.correction_norm = norms_.of_correction(*model_.evaluator, graph_, graph_view(), ghosts_);
  }
  return out;
}

void ForceComputation::need_derivatives(const char *what, bool and_more)
{
  if (!has_derivatives_ || !and_more)
    error->all(FLERR,
               "Pair style mace/uq: {} were asked for on step {}, but nothing had asked for them when that run was set up, "
               "so its derivatives were not kept: run again",
               what, update->ntimestep);
}

void ForceComputation::compute_member_forces(bool of_pops)
{
  const int n = model_.info.n_force_members;
  MemberForces::Stack stack = {0, n, n};
  if (model_.info.has_readout) stack = of_pops || leaves_known_ground() ? MemberForces::Stack{0, 2 * n, n} : MemberForces::Stack{n, n, n};
  if (members_.know(stack)) return;
  need_derivatives("force members");
  members_.compute(*model_.evaluator, graph_, graph_view(), ghosts_, stack, configuration_);
}

bool ForceComputation::leaves_known_ground()
{
  const std::vector<double> &grades = evaluate_field({UQ_GRADE}).values;
  return on_any_rank(world, std::any_of(grades.begin(), grades.begin() + graph_.n_local(), beyond_known_ground));
}

const double *ForceComputation::model_forces()
{
  current_or_error();
  guarded([&] { norms_.of_model(graph_, ghosts_, forces_); });    // for them, parts on ghosts have gone home
  return as_present(forces_, present_forces_, 3);
}

const double *ForceComputation::participation()
{
  current_or_error();
  part_.assign(graph_.n_local() + 1, 1.0);
  return as_present(part_, present_part_);
}

// Fix pair asks after the forces of its steps, and once when it is defined. A field is evaluated when it is first asked for on a step, so
// fix pair's flag has nothing to do; but fix pair does not come back at the set-up of a run, so who asks for a dear field is remembered.
double *ForceComputation::observed(const Field &asked)
{
  const bool dear = model_.passes(asked.index) > 0;
  if (dear) derivatives_observed_ = true;
  const bool of_this_step = update->whichflag != 0 && configuration_.step() == update->ntimestep;
  if (of_this_step && (has_derivatives_ || !dear)) return const_cast<double *>(field(asked));
  auto &column = column_of(asked).values;
  guarded([&] { column.resize(atom->nmax + 1); });
  return column.data();
}
