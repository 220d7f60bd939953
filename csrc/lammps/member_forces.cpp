// SPDX-License-Identifier: GPL-2.0-or-later
#include "member_forces.h"

#include "formulas/bars.h"
#include "guard.h"
#include "loaded_model.h"
#include "over_ranks.h"

#include "lammps/fmt/format.h"

#include <algorithm>
#include <cmath>

using lmp_uq::MemberForces;

// Numbers of the largest buffer of gradients: 8 members at once up to 170,000 edges, fewer per pull beyond.
static constexpr int64_t MAX_GRADIENTS = 1 << 22;

// forces and virials from the same pull
void MemberForces::compute(Evaluator &evaluator, const Graph &graph, const uq_graph &view, GhostComm &ghosts, const Stack &stack,
                           const Configuration &configuration)
{
  const int n_members = stack.n_sets;
  const std::size_t width = 3 * static_cast<std::size_t>(n_members), n_forces = 3 * graph.n_nodes();
  stack_ = stack;
  forces_.assign(graph.n_nodes() * width + 1, 0.0);
  virials_.assign(6 * static_cast<std::size_t>(n_members), 0.0);

  // every rank makes the same pulls
  const int64_t longest_gradient = max_over_ranks<int64_t>(world, 3 * graph.n_edges() + 1);
  const int batch = evaluator.takes_lists() ? n_members : static_cast<int>(std::clamp<int64_t>(MAX_GRADIENTS / longest_gradient, 1, n_members));
  std::vector<double> forces(batch * n_forces + 1);
  for (int first = 0; first < n_members; first += batch) {
    const int n = std::min(batch, n_members - first);
    evaluator.pull_members(view, stack.first + first, n, {nullptr, forces.data(), virials_.data() + 6 * first});
    for (int k = 0; k < n; k++)
      for (std::size_t q = 0; q < n_forces; q++) forces_[q / 3 * width + 3 * (first + k) + q % 3] = forces[k * n_forces + q];
  }
  ghosts.send_home(forces_.data(), static_cast<int>(width));    // all members at once
  check_finite(graph, configuration);
  known_ = true;
}

void MemberForces::check_finite(const Graph &graph, const Configuration &configuration) const
{
  const std::size_t width = virials_.size() / 2;
  for (int i = 0; i < graph.n_local(); i++)
    for (std::size_t k = 0; k < width; k++)
      if (!std::isfinite(forces_[i * width + k]))
        fail_here(lmp, PAIR_STYLE, fmt::format("the force of member {} on atom {} is not a finite number", k / 3 + 1, configuration.tag(graph.nodes().atom(i))));
}

void MemberForces::force_std(Evaluator &evaluator, const Graph &graph, const double *grades, std::vector<double> *const columns[4]) const
{
  const std::size_t n = graph.n_local(), width = 3 * static_cast<std::size_t>(stack_.n_members);
  std::vector<double> std(4 * n + 1), answering;
  const double *forces = forces_.data();
  if (stack_.n_sets > stack_.n_members) {
    answering.resize(n * width + 1);
    for (std::size_t i = 0; i < n; i++)
      std::copy_n(forces + (2 * i + !beyond_known_ground(grades[i])) * width, width, answering.data() + i * width);
    forces = answering.data();
  }
  if (!evaluator.member_std(n, stack_.n_members, forces, std.data()))
    for (std::size_t i = 0; i < n; i++) {
      double of_atom[4];
      member_std(forces + i * width, stack_.n_members, of_atom);
      for (int k = 0; k < 4; k++) std[k * n + i] = of_atom[k];
    }
  for (int k = 0; k < 4; k++) {
    columns[k]->resize(n + 1);
    std::copy_n(std.data() + k * n, n, columns[k]->data());
  }
}

void MemberForces::virial_std(bool of_pops, double std[6]) const
{
  const std::vector<double> virials = sum_over_ranks(world, virials_);
  const int first = of_pops ? 0 : stack_.n_sets - stack_.n_members, last = first + stack_.n_members;
  for (int a = 0; a < 6; a++) {
    double square = 0.0;
    for (int k = first; k < last; k++) square += virials[6 * k + a] * virials[6 * k + a] / stack_.n_members;
    std[a] = std::sqrt(square);
  }
}
