// SPDX-License-Identifier: GPL-2.0-or-later
// From gradients along edges to forces and virials, shared out over threads: each has its part of the edges and sums of its own, which are
// added in the order of the threads.
#ifndef LMP_UQ_EDGE_SUMS_H
#define LMP_UQ_EDGE_SUMS_H

#include "base/bytes.h"

#include <cstdint>
#include <vector>

namespace lmp_uq {

class EdgeSums {
 public:
  // Directed edges, as in AtomGraph.
  struct Edges {
    int n_nodes;
    std::int64_t n;
    const std::int64_t *centres, *neighbours;    // (n)
    const double *vectors;                       // (n, 3)
  };

  explicit EdgeSums(int n_threads) : shares_(n_threads) {}

  // forces (n_nodes, 3) += -dE/dx_i from gradients dE/dr_ij (n, 3)
  void add_forces(const Edges &edges, const double *gradients, double *forces);

  // virial[6] += -r (x) dE/dr, symmetrised (xx yy zz xy xz yz), of_node (n_nodes, 6) += half of it at either end; nullptr: not wanted
  void add_virial(const Edges &edges, const double *gradients, double *virial, double *of_node);

  std::size_t n_bytes() const
  {
    std::size_t n = 0;
    for (const std::vector<double> &share : shares_) n += bytes_of(share);
    return n;
  }

 private:
  template <class Add, class Collect> void share_out(const Edges &edges, std::size_t n_sums, const Add &add, const Collect &collect);

  std::vector<std::vector<double>> shares_;      // of each thread
};

}    // namespace lmp_uq
#endif
