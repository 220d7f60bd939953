// SPDX-License-Identifier: GPL-2.0-or-later
#include "force_computation.h"

#include "base/bytes.h"
#include "cell_volume.h"
#include "guard.h"

#include "lammps/atom.h"
#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/fmt/format.h"
#include "lammps/neighbor.h"
#include "lammps/update.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;
using lmp_uq::ForceComputation;

ForceComputation::ForceComputation(LAMMPS *lmp, Pair &pair, const LoadedModel &model) :
    Pointers(lmp), model_(model), configuration_(lmp), ghosts_(lmp, pair, graph_, configuration_, clock_), members_(lmp), heat_(lmp)
{
}

void ForceComputation::fail_here(const std::string &text) { lmp_uq::fail_here(lmp, PAIR_STYLE, text); }

/* ---- forces ---------------------------------------------------------------------------------------------------------------- */

void ForceComputation::init()
{
  exclusions_.forget();
  has_list_ = false;
  ghosts_.forget_plan();
  configuration_.begin_run();
  initializing_ = true;
  make_room();
  derivatives_wanted_ = images_wanted_ = false;
}

void ForceComputation::keep_derivatives()
{
  derivatives_wanted_ = true;
  if (initializing_ && update->whichflag != 0) make_room();
}

// for rows of features, and for those of forces, grades and motions
void ForceComputation::make_room()
{
  const auto &info = model_.info;
  const bool pulls = derivatives_wanted_ || derivatives_observed_;
  const int of_atoms = std::max(4, 3 * info.n_force_members);
  if (comm->nprocs == 1)
    ghosts_.make_room(of_atoms, of_atoms);    // for plans alone
  else
    ghosts_.make_room(std::max(info.width, of_atoms), std::max(pulls ? info.pull_width : info.width, of_atoms));
}

void ForceComputation::forget()
{
  configuration_.drop();
  ghosts_.forget_routes();
  has_derivatives_ = false;
  norms_.forget();
  members_.forget();
  for (Column &column : columns_) column.known = false;
  for (auto &one : at_threshold_) one.second.known = false;
}

void ForceComputation::compute(const NeighList &list)
{
  forget();
  initializing_ = false;
  if (setting_up_ && !update->setupflag) clock_.reset();    // tables are made with the first forces: no time of the run
  setting_up_ = update->setupflag;
  build_graph(list);
  evaluate();
  const auto watch = clock_.watch(StepClock::EDGES);
  graph_.forces(edge_gradients_.data(), forces_);
  check_finite();
  local_energy_ = 0.0;
  for (int i = 0; i < graph_.n_local(); i++) local_energy_ += energies_[i];
  volume_ = cell_volume(*domain);
  configuration_.take();
}

void ForceComputation::build_graph(const NeighList &list)
{
  const auto watch = clock_.watch(StepClock::EDGES);
  static const double no_position[3] = {};
  static const int no_type[1] = {};
  const bool any = atom->nlocal + atom->nghost > 0;
  make_nodes(list);
  const Graph::Atoms atoms = {any ? atom->x[0] : no_position, any ? atom->type : no_type, model_.species_of_type.data()};
  graph_.use_threads(model_.threads);
  check_atoms(atoms, graph_.build(list, atoms, model_.info.cutoff));
}

// Who takes part is settled when LAMMPS makes its list: it has no pairs of atoms that join later.
void ForceComputation::make_nodes(const NeighList &list)
{
  if (has_list_ && builds_ == neighbor->ncalls && built_ == neighbor->lastcall) return;
  exclusions_.update(lmp, list, model_.species_of_type);
  std::vector<char> takes_part(atom->nlocal + atom->nghost);
  for (std::size_t i = 0; i < takes_part.size(); i++)
    takes_part[i] = model_.species_of_type[atom->type[i]] >= 0 && !(exclusions_.excluded() && exclusions_.excluded()[i]);
  ghosts_.plan(takes_part, images_wanted_, graph_.nodes());
  has_list_ = true;
  builds_ = neighbor->ncalls;
  built_ = neighbor->lastcall;
}

void ForceComputation::check_atoms(const Graph::Atoms &atoms, int64_t coincident)
{
  const auto tag = [&](int64_t node) { return atom->tag[graph_.nodes().atom(static_cast<int>(node))]; };
  const int joined = graph_.first_without_species(), lost = graph_.first_lost(atoms);
  if (joined >= 0) fail_here(fmt::format("atom {} has got a type named NULL since the neighbor list was made", tag(joined)));
  if (lost >= 0) fail_here(fmt::format("the position of atom {} is not a finite number", tag(lost)));
  if (coincident >= 0)
    fail_here(fmt::format("atoms {} and {} are at the same position", tag(graph_.centres()[coincident]), tag(graph_.neighbours()[coincident])));
}

void ForceComputation::evaluate()
{
  const auto watch = clock_.watch(StepClock::MODEL);
  energies_.resize(graph_.n_local() + 1);    // never empty: a rank without atoms still hands a pointer over
  edge_gradients_.resize(3 * graph_.n_edges() + 3);
  const bool keep = derivatives_wanted_ || derivatives_observed_;
  guarded([&] { model_.evaluator->evaluate(graph_view(), keep, energies_.data(), edge_gradients_.data()); });
  has_derivatives_ = keep;
  if (keep) heat_.take_positions(graph_);
}

uq_graph ForceComputation::graph_view()
{
  uq_graph view = {};
  view.n_local = graph_.n_local();
  view.n_ghost = graph_.n_nodes() - graph_.n_local();
  view.species = graph_.species();
  view.n_edges = graph_.n_edges();
  view.centres = graph_.centres();
  view.neighbours = graph_.neighbours();
  view.vectors = graph_.vectors();
  ghosts_.serve(view);
  return view;
}

void ForceComputation::check_finite()
{
  const auto tag = [&](int node) { return atom->tag[graph_.nodes().atom(node)]; };
  for (int i = 0; i < graph_.n_local(); i++)
    if (!std::isfinite(energies_[i])) fail_here(fmt::format("the energy of atom {} is not a finite number", tag(i)));
  for (int i = 0; i < graph_.n_nodes(); i++)
    for (int k = 0; k < 3; k++)
      if (!std::isfinite(forces_[3 * i + k])) fail_here(fmt::format("the force on atom {} is not a finite number", tag(i)));
}

std::size_t ForceComputation::n_bytes() const
{
  std::size_t bytes = graph_.n_bytes() + ghosts_.n_bytes() + configuration_.n_bytes() + members_.n_bytes() + heat_.n_bytes() + norms_.n_bytes() +
      neighbour_grade_.n_bytes() + bytes_of(energies_, edge_gradients_, forces_, part_, present_part_, present_forces_);
  for (const Column &column : columns_) bytes += bytes_of(column.values, column.present);
  for (const auto &one : at_threshold_) bytes += bytes_of(one.second.values, one.second.present);
  return bytes;
}

/* ---- of each atom ---------------------------------------------------------------------------------------------------------- */

void ForceComputation::current_or_error()
{
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
    members_.force_std(*model_.evaluator, graph_, std);
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

void ForceComputation::compute_member_forces()
{
  if (members_.known()) return;
  need_derivatives("force members");
  members_.compute(*model_.evaluator, graph_, graph_view(), ghosts_, model_.info.n_force_members, configuration_);
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
