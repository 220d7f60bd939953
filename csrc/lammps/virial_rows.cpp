// SPDX-License-Identifier: GPL-2.0-or-later
#include "virial_rows.h"

#include "over_ranks.h"

#include <cstddef>

// Central differences: the square of the strain times a third derivative of order 100 is about 1e-5 of the result or less, rounding of a
// float32 model over the strain 1e-4. As lmp_uq.averages.sampling.
static constexpr double STRAIN = 3e-4;

// of (n, 3) rows r: moved by scale times e (3, 3) r
static std::vector<double> strained(int64_t n, const double *r, const double *e, double scale)
{
  std::vector<double> out(3 * n + 3);    // never empty: a pointer is handed over
  for (int64_t k = 0; k < 3 * n; k++) {
    const double *of = r + k / 3 * 3, *row = e + k % 3 * 3;
    out[k] = r[k] + scale * (row[0] * of[0] + row[1] * of[1] + row[2] * of[2]);
  }
  return out;
}

// features of this rank with everything strained
static std::vector<double> strained_features(lmp_uq::Evaluator &evaluator, const uq_graph &graph, int n_features, const double *e,
                                             double scale)
{
  uq_graph view = graph;
  const std::vector<double> moved = view.vectors ? strained(view.n_edges, view.vectors, e, scale) : strained(view.n_sites, view.positions, e, scale);
  (view.vectors ? view.vectors : view.positions) = moved.data();
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
