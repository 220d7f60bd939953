// SPDX-License-Identifier: GPL-2.0-or-later
#include "heat_flux.h"

#include "over_ranks.h"

#include "lammps/atom.h"
#include "lammps/force.h"

#include <algorithm>

using lmp_uq::HeatFlux;

// The flux does not depend on the origin. One near the atoms keeps the digits of a model in float32.
void HeatFlux::take_positions(const Graph &graph)
{
  x_.resize(3 * static_cast<std::size_t>(graph.n_nodes()));
  for (int k = 0; k < graph.n_nodes(); k++)
    for (int a = 0; a < 3; a++) x_[3 * static_cast<std::size_t>(k) + a] = atom->x[graph.nodes().atom(k)][a] - atom->x[0][a];
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

void HeatFlux::take_moments(const Graph &graph, GhostComm &ghosts)
{
  const std::size_t n_own = graph.n_local();
  weights_.assign(SETS * n_own + 1, 1.0);    // never empty: pointers are handed over
  for (std::size_t i = 0; i < n_own; i++)
    for (int a = 0; a < 3; a++) weights_[(1 + a) * n_own + i] = x_[3 * i + a];
  std::vector<double> owners(x_);
  owners.resize(x_.size() + 3);
  ghosts.send_out(owners.data(), 3);
  shifts_.assign(x_.size() - 3 * n_own + 3, 0.0);
  for (std::size_t k = 3 * n_own; k < x_.size(); k++) shifts_[k - 3 * n_own] = x_[k] - owners[k];
}

// sum_i x_i d(kinetic + model energy)_i/dt = sum over edges e of (A_e - x_j B_e).v_j - (A_e - x_i B_e).v_i, with B_e = dE/dr_e and
// A_e = d(sum_k x_k E_k)/dr_e, both as this rank sees the images of the atoms. It is linear in E: a member adds that of its correction.
void HeatFlux::add_potential(Evaluator &evaluator, const Graph &graph, const uq_graph &view, int member, double *flux)
{
  const std::size_t stride = 3 * graph.n_edges();
  gradients_.resize(SETS * stride + 1);
  evaluator.energy_gradients(view, member, SETS, weights_.data(), gradients_.data());
  for (int64_t e = 0; e < graph.n_edges(); e++) {
    const std::size_t i = graph.centres()[e], j = graph.neighbours()[e];
    for (int b = 0; b < 3; b++) {
      const double *edge = gradients_.data() + 3 * e + b, B = edge[0];
      for (int a = 0; a < 3; a++) {
        const double A = edge[(1 + a) * stride];
        flux[a] += (A - x_[3 * j + a] * B) * motion_[4 * j + b] - (A - x_[3 * i + a] * B) * motion_[4 * i + b];
      }
    }
  }
}

std::vector<double> HeatFlux::compute(Evaluator &evaluator, const Graph &graph, uq_graph view, GhostComm &ghosts,
                                      const Configuration &configuration, const double *energies, const Members &members)
{
  std::vector<double> here(6 + 3 * static_cast<std::size_t>(members.n), 0.0);
  take_motion(graph, ghosts, configuration);
  take_moments(graph, ghosts);
  view.exchange.shifts = shifts_.data();
  add_potential(evaluator, graph, view, Evaluator::OF_MODEL, here.data());
  for (int k = 0; k < members.n; k++)
    add_potential(evaluator, graph, view, members.first + k, here.data() + 6 + 3 * static_cast<std::size_t>(k));
  add_convective(graph, energies, here.data() + 3);
  std::vector<double> all = sum_over_ranks(world, here);
  for (int a = 0; a < 3; a++) all[a] += all[3 + a];
  return all;
}
