// SPDX-License-Identifier: GPL-2.0-or-later
#include "force_norms.h"

#include <cmath>

using lmp_uq::ForceNorms;

// forces (n_nodes, 3); their parts on ghosts go home
static void take_norms(int n, lmp_uq::GhostComm &ghosts, std::vector<double> &forces, std::vector<double> &norms)
{
  ghosts.send_home(forces.data(), 3);
  norms.resize(n + 1);
  for (int i = 0; i < n; i++) {
    const double *f = forces.data() + 3 * static_cast<std::size_t>(i);
    norms[i] = std::sqrt(f[0] * f[0] + f[1] * f[1] + f[2] * f[2]);
  }
}

const double *ForceNorms::of_model(const Graph &graph, GhostComm &ghosts, std::vector<double> &forces)
{
  if (!has_model_) take_norms(graph.n_local(), ghosts, forces, model_);
  has_model_ = true;
  return model_.data();
}

const double *ForceNorms::of_correction(Evaluator &evaluator, const Graph &graph, const uq_graph &view, GhostComm &ghosts)
{
  if (!has_correction_) {
    std::vector<double> forces(3 * graph.n_nodes() + 3);
    evaluator.pull_correction(view, {nullptr, forces.data(), nullptr});
    take_norms(graph.n_local(), ghosts, forces, correction_);
  }
  has_correction_ = true;
  return correction_.data();
}
