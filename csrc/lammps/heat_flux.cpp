// SPDX-License-Identifier: GPL-2.0-or-later
#include "heat_flux.h"

#include "over_ranks.h"

#include "lammps/atom.h"
#include "lammps/force.h"

#include <algorithm>
#include <array>
#include <utility>

using lmp_uq::HeatFlux;

void HeatFlux::take_positions(const Graph &graph)
{
  x_.resize(3 * static_cast<std::size_t>(graph.n_nodes()));
  for (int k = 0; k < graph.n_nodes(); k++) std::copy_n(atom->x[graph.nodes().atom(k)], 3, x_.data() + 3 * k);
}

// Velocities are those of now: the forces came when they were half a step younger.
void HeatFlux::take_motion(const Graph &graph, GhostComm &ghosts, const Configuration &configuration)
{
  std::vector<double> present(4 * static_cast<std::size_t>(atom->nlocal) + 4);
  for (int i = 0; i < atom->nlocal; i++) {
    std::copy_n(atom->v[i], 3, present.data() + 4 * i);
    present[4 * i + 3] = atom->rmass ? atom->rmass[i] : atom->mass[atom->type[i]];
  }
  std::vector<double> then(4 * static_cast<std::size_t>(configuration.n_local()) + 4, 0.0);
  configuration.lead_back(present.data(), 4, then.data());
  motion_.assign(4 * static_cast<std::size_t>(graph.n_nodes()) + 4, 0.0);
  graph.nodes().to_nodes(then.data(), 4, motion_.data());
  ghosts.send_out(motion_.data(), 4);
}

// sum_i (kinetic + model energy)_i v_i, as compute heat/flux
void HeatFlux::add_convective(const Graph &graph, const double *energies, double *flux) const
{
  for (int i = 0; i < graph.n_local(); i++) {
    const double *v = motion_.data() + 4 * static_cast<std::size_t>(i);
    const double kinetic = 0.5 * force->mvv2e * v[3] * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    for (int a = 0; a < 3; a++) flux[a] += (kinetic + energies[i]) * v[a];
  }
}

// sum_i x_i d(kinetic + model energy)_i/dt = sum over edges e of (A_e - x_j B_e).v_j - (A_e - x_i B_e).v_i, with B_e = dE/dr_e and
// A_e = d(sum_k x_k E_k)/dr_e, both as this rank sees the images of the atoms
void HeatFlux::add_potential(Evaluator &evaluator, const Graph &graph, const uq_graph &view, GhostComm &ghosts, double *flux) const
{
  const std::size_t n_own = graph.n_local(), n_nodes = graph.n_nodes();
  std::vector<double> weights(n_own + 1, 1.0), unit(3 * graph.n_edges() + 3), moment(unit.size()), owners(x_);
  owners.resize(x_.size() + 3);    // never empty: a pointer is handed over
  ghosts.send_out(owners.data(), 3);
  ghosts.keep_reverse();
  evaluator.energy_gradients(view, weights.data(), unit.data());
  for (int a = 0; a < 3; a++) {
    for (std::size_t i = 0; i < n_own; i++) weights[i] = x_[3 * i + a];
    std::vector<double> shifts;
    for (std::size_t j = n_own; j < n_nodes; j++) shifts.push_back(x_[3 * j + a] - owners[3 * j + a]);
    ghosts.shift_reverse(std::move(shifts));
    evaluator.energy_gradients(view, weights.data(), moment.data());
    for (int64_t e = 0; e < graph.n_edges(); e++) {
      const std::size_t i = graph.centres()[e], j = graph.neighbours()[e];
      for (int b = 0; b < 3; b++) {
        const double A = moment[3 * e + b], B = unit[3 * e + b];
        flux[a] += (A - x_[3 * j + a] * B) * motion_[4 * j + b] - (A - x_[3 * i + a] * B) * motion_[4 * i + b];
      }
    }
  }
  ghosts.plain_reverse();
}

void HeatFlux::compute(Evaluator &evaluator, const Graph &graph, const uq_graph &view, GhostComm &ghosts, const Configuration &configuration,
                       const double *energies, double flux[6])
{
  std::array<double, 6> here = {};
  take_motion(graph, ghosts, configuration);
  add_potential(evaluator, graph, view, ghosts, here.data());
  add_convective(graph, energies, here.data() + 3);
  const auto all = sum_over_ranks(world, here);
  for (int a = 0; a < 3; a++) {
    flux[a] = all[a] + all[3 + a];
    flux[3 + a] = all[3 + a];
  }
}
