// SPDX-License-Identifier: GPL-2.0-or-later
// Forces and virials of the force members less those of the model that runs, of one force computation.
#ifndef LMP_UQ_MEMBER_FORCES_H
#define LMP_UQ_MEMBER_FORCES_H

#include "base/bytes.h"
#include "configuration.h"
#include "evaluator.h"
#include "ghost_comm.h"
#include "graph.h"

#include "lammps/pointers.h"

#include <cstddef>
#include <vector>

namespace lmp_uq {

class MemberForces : protected LAMMPS_NS::Pointers {
 public:
  explicit MemberForces(LAMMPS_NS::LAMMPS *lmp) : Pointers(lmp) {}

  void forget() { known_ = false; }
  bool known() const { return known_; }

  // Of the graph last evaluated, with its derivatives kept; view: the same as the evaluator sees it. Collective.
  void compute(Evaluator &evaluator, const Graph &graph, const uq_graph &view, GhostComm &ghosts, int n_members,
               const Configuration &configuration);

  // root mean squares over the members of their distance from the model
  void force_std(Evaluator &evaluator, const Graph &graph, std::vector<double> *const columns[4]) const;    // |dF|, x, y, z (n_local + 1), eV/Angstrom
  void virial_std(double std[6]) const;                                        // of all ranks, eV; collective

  std::size_t n_bytes() const { return bytes_of(forces_, virials_); }

 private:
  void check_finite(const Graph &graph, const Configuration &configuration) const;

  int n_members_ = 0;
  bool known_ = false;
  std::vector<double> forces_;     // (n_nodes, 3 K') member - model, eV/Angstrom
  std::vector<double> virials_;    // (K', 6) of this rank's edges, eV
};

}    // namespace lmp_uq
#endif
