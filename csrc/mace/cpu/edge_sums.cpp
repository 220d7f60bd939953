// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cpu/edge_sums.h"

#include "base/threads.h"

#include <algorithm>

namespace lmp_uq {

// add(sums, first, last): edges first..last-1 to n_sums sums of a thread; collect(sums, first, last): these of them to where they belong
template <class Add, class Collect>
void EdgeSums::share_out(const Edges &edges, std::size_t n_sums, const Add &add, const Collect &collect)
{
  const std::int64_t n_threads = static_cast<std::int64_t>(shares_.size());
  in_parallel(static_cast<int>(n_threads), [&](int thread) {
    shares_[thread].assign(n_sums, 0.0);
    add(shares_[thread].data(), edges.n * thread / n_threads, edges.n * (thread + 1) / n_threads);
  });
  over_rows(static_cast<int>(n_threads), static_cast<std::int64_t>(n_sums), [&](std::int64_t first, std::int64_t last) {
    double *sum = shares_[0].data();
    for (std::int64_t thread = 1; thread < n_threads; ++thread)
      for (std::int64_t k = first; k < last; ++k) sum[k] += shares_[thread][k];
    collect(sum, first, last);
  });
}

void EdgeSums::add_forces(const Edges &edges, const double *gradients, double *forces)
{
  const auto add = [&](double *sums, std::int64_t first, std::int64_t last) {
    for (std::int64_t e = first; e < last; ++e)
      for (int k = 0; k < 3; ++k) {
        sums[3 * edges.centres[e] + k] += gradients[3 * e + k];
        sums[3 * edges.neighbours[e] + k] -= gradients[3 * e + k];
      }
  };
  share_out(edges, 3 * static_cast<std::size_t>(edges.n_nodes), add, [&](const double *sums, std::int64_t first, std::int64_t last) {
    for (std::int64_t k = first; k < last; ++k) forces[k] += sums[k];
  });
}

// sums: of all edges, then of each node where these are wanted
void EdgeSums::add_virial(const Edges &edges, const double *gradients, double *virial, double *of_node)
{
  static constexpr int FIRST[6] = {0, 1, 2, 0, 0, 1}, SECOND[6] = {0, 1, 2, 1, 2, 2};
  const auto add = [&](double *sums, std::int64_t first, std::int64_t last) {
    for (std::int64_t e = first; e < last; ++e) {
      const double *r = edges.vectors + 3 * e, *g = gradients + 3 * e;
      for (int k = 0; k < 6; ++k) {
        const double w = -0.5 * (r[FIRST[k]] * g[SECOND[k]] + r[SECOND[k]] * g[FIRST[k]]);
        sums[k] += w;
        if (!of_node) continue;
        sums[6 + 6 * edges.centres[e] + k] += 0.5 * w;
        sums[6 + 6 * edges.neighbours[e] + k] += 0.5 * w;
      }
    }
  };
  const std::size_t n_sums = 6 + (of_node ? 6 * static_cast<std::size_t>(edges.n_nodes) : 0);
  share_out(edges, n_sums, add, [&](const double *sums, std::int64_t first, std::int64_t last) {
    for (std::int64_t k = first; k < last; ++k)
      if (k >= 6) of_node[k - 6] += sums[k];
      else if (virial) virial[k] += sums[k];
  });
}

}    // namespace lmp_uq
