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
#include <stdexcept>

using namespace LAMMPS_NS;
using lmp_uq::ForceComputation;

ForceComputation::ForceComputation(LAMMPS *lmp, Pair &pair, const LoadedModel &model) :
    Pointers(lmp), pair_(pair), model_(model), configuration_(lmp), ghosts_(lmp, pair, graph_, configuration_, clock_), members_(lmp), heat_(lmp)
{
}

void ForceComputation::fail_here(const std::string &text) { lmp_uq::fail_here(lmp, PAIR_STYLE, text); }

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
  const int of_atoms = std::max(4, 3 * info.n_force_members * (1 + info.has_readout));
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

void ForceComputation::compute(const NeighList &list, const Wanted &wanted)
{
  forget();
  initializing_ = false;
  if (setting_up_ && !update->setupflag) clock_.reset();    // tables are made with the first forces: no time of the run
  setting_up_ = update->setupflag;
  build_graph(list);
  evaluate(wanted);
  const auto watch = clock_.watch(StepClock::EDGES);
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
  const Graph::Atoms atoms = {atom->nlocal + atom->nghost, any ? atom->x[0] : no_position, any ? atom->type : no_type, model_.species_of_type.data()};
  graph_.use_threads(model_.threads);
  const bool is_new = make_nodes(list);
  if (!model_.evaluator->takes_lists()) return check_atoms(atoms, graph_.build(list, atoms, model_.info.cutoff));
  if (is_new) graph_.take_list(list);
  graph_.take_positions(atoms);
  check_atoms(atoms, -1);
}

// Who takes part is settled when LAMMPS makes its list: it has no pairs of atoms that join later. Whether it is a new one.
bool ForceComputation::make_nodes(const NeighList &list)
{
  if (has_list_ && builds_ == neighbor->ncalls && built_ == neighbor->lastcall) return false;
  exclusions_.update(lmp, list, model_.species_of_type);
  std::vector<char> takes_part(atom->nlocal + atom->nghost);
  for (std::size_t i = 0; i < takes_part.size(); i++)
    takes_part[i] = model_.species_of_type[atom->type[i]] >= 0 && !(exclusions_.excluded() && exclusions_.excluded()[i]);
  ghosts_.plan(takes_part, images_wanted_, graph_.nodes());
  has_list_ = true;
  builds_ = neighbor->ncalls;
  built_ = neighbor->lastcall;
  return true;
}

void ForceComputation::check_atoms(const Graph::Atoms &atoms, int64_t coincident)
{
  const auto tag = [&](int64_t node) { return atom->tag[graph_.nodes().atom(static_cast<int>(node))]; };
  const int joined = graph_.first_without_species(), lost = graph_.first_lost(atoms);
  if (joined >= 0) fail_here(fmt::format("atom {} has got a type named NULL since the neighbor list was made", tag(joined)));
  if (lost >= 0) fail_here(fmt::format("the position of atom {} is not a finite number", tag(lost)));
  check_coincident(coincident);
}

void ForceComputation::check_coincident(int64_t edge)
{
  if (edge < 0) return;
  const auto tag = [&](int64_t node) { return atom->tag[graph_.nodes().atom(static_cast<int>(node))]; };
  fail_here(fmt::format("atoms {} and {} are at the same position", tag(graph_.centres()[edge]), tag(graph_.neighbours()[edge])));
}

void ForceComputation::evaluate(const Wanted &wanted)
{
  const auto watch = clock_.watch(StepClock::MODEL);
  energies_.resize(graph_.n_local() + 1);    // never empty: a rank without atoms still hands a pointer over
  forces_.resize(3 * graph_.n_nodes() + 3);
  edge_gradients_.resize(wanted.edge_gradients ? 3 * graph_.n_edges() + 3 : 0);
  const Pulled out = {wanted.edge_gradients ? edge_gradients_.data() : nullptr, forces_.data(), wanted.virial ? virial_ : nullptr};
  const bool keep = derivatives_wanted_ || derivatives_observed_;
  guarded([&] {
    try {
      model_.evaluator->evaluate(graph_view(), keep, energies_.data(), out);
    } catch (const std::exception &) {
      check_coincident(graph_.first_coincident());    // found where the model runs, which does not know whose atoms they are
      throw;
    }
  });
  has_derivatives_ = keep;
  if (keep) heat_.take_positions(graph_);
}

uq_graph ForceComputation::graph_view()
{
  uq_graph view = {};
  graph_.serve(view);
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
      neighbour_grade_.n_bytes() + bytes_of(energies_, edge_gradients_, forces_, part_, slope_, present_part_, present_forces_, present_slope_);
  for (const Column &column : columns_) bytes += bytes_of(column.values, column.present);
  for (const auto &one : at_threshold_) bytes += bytes_of(one.second.values, one.second.present);
  return bytes;
}
