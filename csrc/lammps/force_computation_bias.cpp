// SPDX-License-Identifier: GPL-2.0-or-later
// What ForceComputation answers fix uq/bias: forces of quantities that are functions of the descriptors.
#include "force_computation.h"

#include "lammps/fmt/format.h"

#include <cmath>

using namespace LAMMPS_NS;
using lmp_uq::ForceComputation;

ForceComputation::Slope ForceComputation::slope_of(const std::function<void(const uq_graph &, const Pulled &)> &pull)
{
  const auto watch = clock_.watch(StepClock::BARS);
  need_derivatives("bias forces");
  Slope out;
  slope_.assign(3 * static_cast<std::size_t>(graph_.n_nodes()) + 3, 0.0);
  pull(graph_view(), {nullptr, slope_.data(), out.virial});
  ghosts_.send_home(slope_.data(), 3);
  for (int k = 0; k < 3 * graph_.n_local(); k++)
    if (!std::isfinite(slope_[k]))
      fail_here(fmt::format("the bias force on atom {} is not a finite number", configuration_.tag(graph_.nodes().atom(k / 3))));
  out.forces = as_present(slope_, present_slope_, 3);
  return out;
}

ForceComputation::Slope ForceComputation::pull_grades(const std::vector<double> &factors)
{
  Slope out;
  current_or_error();
  guarded([&] {
    std::vector<double> then(configuration_.n_local() + 1, 0.0), of_nodes(graph_.n_nodes() + 1, 0.0);
    configuration_.lead_back(factors.data(), 1, then.data());
    graph_.nodes().to_nodes(then.data(), 1, of_nodes.data());
    out = slope_of([&](const uq_graph &graph, const Pulled &to) { model_.evaluator->pull_grades(graph, of_nodes.data(), to); });
  });
  return out;
}

ForceComputation::Slope ForceComputation::pull_total_std(double &std)
{
  Slope out;
  current_or_error();
  guarded([&] {
    std::vector<double> sum;
    sum_features(sum);
    out = slope_of([&](const uq_graph &graph, const Pulled &to) { std = model_.evaluator->pull_total_std(graph, sum.data(), to); });
  });
  return out;
}
