// SPDX-License-Identifier: GPL-2.0-or-later
// Norms of the forces on the atoms of one force computation, that of the model and that of the posterior's mean correction.
#ifndef LMP_UQ_FORCE_NORMS_H
#define LMP_UQ_FORCE_NORMS_H

#include "base/bytes.h"
#include "evaluator.h"
#include "ghost_comm.h"
#include "graph.h"

#include <cstddef>
#include <vector>

namespace lmp_uq {

class ForceNorms {
 public:
  void forget() { has_model_ = has_correction_ = false; }

  // (n_local) each, eV/Angstrom, once for each force computation. Collective.
  // forces (n_nodes, 3) of the model: this style's own, other styles' stay out; their parts on ghosts go home
  const double *of_model(const Graph &graph, GhostComm &ghosts, std::vector<double> &forces);
  // one pull, for which the derivatives were kept; view: the graph as the evaluator sees it
  const double *of_correction(Evaluator &evaluator, const Graph &graph, const uq_graph &view, GhostComm &ghosts);

  std::size_t n_bytes() const { return bytes_of(model_, correction_); }

 private:
  bool has_model_ = false, has_correction_ = false;
  std::vector<double> model_, correction_;    // (n_local)
};

}    // namespace lmp_uq
#endif
