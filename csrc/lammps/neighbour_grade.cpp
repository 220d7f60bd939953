// SPDX-License-Identifier: GPL-2.0-or-later
#include "neighbour_grade.h"

#include <algorithm>
#include <cmath>

using lmp_uq::NeighbourGrade;

static constexpr int HOPS = 2;

void NeighbourGrade::compute(Evaluator &evaluator, const Graph &graph, GhostComm &ghosts, const double *grade, double *out)
{
  const int n = graph.n_local();
  mean_.resize(graph.n_nodes() + 1);    // never empty: a rank without atoms still hands a pointer over
  for (int i = 0; i < n; i++) {
    const double square = grade[i] * grade[i];
    mean_[i] = square * square;
  }
  sum_.resize(n + 1);
  for (int hop = 0; hop < HOPS; hop++) {
    ghosts.send_out(mean_.data(), 1);
    if (!evaluator.neighbour_means(mean_.data(), sum_.data())) take_means(graph);
    std::copy_n(sum_.begin(), n, mean_.begin());
  }
  for (int i = 0; i < n; i++) out[i] = std::sqrt(std::sqrt(mean_[i]));
}

// into sum_
void NeighbourGrade::take_means(const Graph &graph)
{
  const int n = graph.n_local();
  size_.assign(n, 1.0);
  std::copy_n(mean_.begin(), n, sum_.begin());
  for (int64_t e = 0; e < graph.n_edges(); e++) {
    size_[graph.centres()[e]] += 1.0;
    sum_[graph.centres()[e]] += mean_[graph.neighbours()[e]];
  }
  for (int i = 0; i < n; i++) sum_[i] /= size_[i];
}
