// SPDX-License-Identifier: GPL-2.0-or-later
#include "virial_rows.h"

#include "over_ranks.h"

#include <cstddef>

// Central differences: the square of the strain times a third derivative of order 100 is about 1e-5 of the result or less, rounding of a
// float32 model over the strain 1e-4. As lmp_uq.averages.sampling.
static constexpr double STRAIN = 3e-4;

// features of this rank with every edge vector r moved by scale times e (3, 3) r
static std::vector<double> strained_features(lmp_uq::Evaluator &evaluator, const uq_graph &graph, int n_features, const double *e,
                                             double scale)
{
  uq_graph view = graph;
  const double *r = view.vectors;
  std::vector<double> vectors(3 * view.n_edges + 3);    // never empty: a pointer is handed over
  for (int64_t k = 0; k < 3 * view.n_edges; k++) {
    const double *edge = r + k / 3 * 3, *row = e + k % 3 * 3;
    vectors[k] = r[k] + scale * (row[0] * edge[0] + row[1] * edge[1] + row[2] * edge[2]);
  }
  view.vectors = vectors.data();
  std::vector<double> sum(n_features, 0.0);
  evaluator.feature_sum_of(view, sum.data());
  return sum;
}

// Forward passes on strained edge vectors: two for each strain give all P numbers, where reverse passes would be P.
std::vector<double> lmp_uq::virial_rows(MPI_Comm world, Evaluator &evaluator, const uq_graph &graph, int n_features, bool trace)
{
  static constexpr double E[7][9] = {{1, 0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 1, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0, 1},
                                     {0, 1, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 1, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 1, 0, 0, 0},
                                     {1, 0, 0, 0, 1, 0, 0, 0, 1}};
  const int n_rows = trace ? 1 : 6;
  std::vector<double> rows_of_this_rank;
  for (int a = 0; a < n_rows; a++) {
    const std::vector<double> stretched = strained_features(evaluator, graph, n_features, E[trace ? 6 : a], STRAIN);
    const std::vector<double> shrunk = strained_features(evaluator, graph, n_features, E[trace ? 6 : a], -STRAIN);
    for (int p = 0; p < n_features; p++) rows_of_this_rank.push_back((shrunk[p] - stretched[p]) / (2.0 * STRAIN));
  }
  return sum_over_ranks(world, rows_of_this_rank);
}
