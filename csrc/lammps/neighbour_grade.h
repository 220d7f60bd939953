// SPDX-License-Identifier: GPL-2.0-or-later
// How new the surroundings of an atom are: a power mean of the grades within two hops of the model's graph (lmp_uq.novelty.neighbours).
#ifndef LMP_UQ_NEIGHBOUR_GRADE_H
#define LMP_UQ_NEIGHBOUR_GRADE_H

#include "base/bytes.h"
#include "evaluator.h"
#include "ghost_comm.h"
#include "graph.h"

#include <cstddef>
#include <vector>

namespace lmp_uq {

class NeighbourGrade {
 public:
  // out (n_local): infinite where an atom within two hops has an infinite grade. grade (n_local): 0 of atoms that take no part, which have
  // no edges. evaluator: of the same graph. Collective: every hop fetches one number of each ghost.
  void compute(Evaluator &evaluator, const Graph &graph, GhostComm &ghosts, const double *grade, double *out);

  std::size_t n_bytes() const { return bytes_of(mean_, sum_, size_); }

 private:
  void take_means(const Graph &graph);

  std::vector<double> mean_;    // (n_nodes)
  std::vector<double> sum_;     // (n_local), then means
  std::vector<double> size_;    // (n_local) an atom and its edges
};

}    // namespace lmp_uq
#endif
