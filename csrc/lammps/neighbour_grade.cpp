// SPDX-License-Identifier: GPL-2.0-or-later
#include "neighbour_grade.h"

#include <cmath>

using lmp_uq::NeighbourGrade;

static constexpr int HOPS = 2;

void NeighbourGrade::compute(const Graph &graph, double cutoff, GhostComm &ghosts, const double *grade, double *out)
{
  const int n = graph.n_local();
  mean_.resize(graph.n_nodes() + 1);    // never empty: a rank without atoms still hands a pointer over
  size_.assign(n, 1.0);
  graph.over_edges(cutoff, [&](int64_t i, int64_t) { size_[i] += 1.0; });
  for (int i = 0; i < n; i++) {
    const double square = grade[i] * grade[i];
    mean_[i] = square * square;
  }
  for (int hop = 0; hop < HOPS; hop++) {
    ghosts.send_out(mean_.data(), 1);
    sum_.assign(mean_.begin(), mean_.begin() + n);
    graph.over_edges(cutoff, [&](int64_t i, int64_t j) { sum_[i] += mean_[j]; });
    for (int i = 0; i < n; i++) mean_[i] = sum_[i] / size_[i];
  }
  for (int i = 0; i < n; i++) out[i] = std::sqrt(std::sqrt(mean_[i]));
}
