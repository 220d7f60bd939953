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

// Where the members of a P-readout are too much alike, and POPS answers: the hand-over of docs/uncertainty.md.
inline bool beyond_known_ground(double grade) { return !(grade <= 1.0); }

class MemberForces : protected LAMMPS_NS::Pointers {
 public:
  explicit MemberForces(LAMMPS_NS::LAMMPS *lmp) : Pointers(lmp) {}

  void forget() { known_ = false; }
  // What is pulled at once, from the evaluator's member number `first` on: the members of one posterior, or of two, where those beyond known
  // ground come first.
  struct Stack {
    int first, n_sets, n_members;
  };
  bool know(const Stack &stack) const { return known_ && stack_.first <= stack.first && stack_.n_sets >= stack.n_sets; }

  // Of the graph last evaluated, with its derivatives kept; view: the same as the evaluator sees it. Collective.
  void compute(Evaluator &evaluator, const Graph &graph, const uq_graph &view, GhostComm &ghosts, const Stack &stack,
               const Configuration &configuration);

  // Root mean squares over the members of their distance from the model. Of two posteriors the atom's grade (n_local) says which, for the
  // virial the caller.
  void force_std(Evaluator &evaluator, const Graph &graph, const double *grades,
                 std::vector<double> *const columns[4]) const;    // |dF|, x, y, z (n_local + 1), eV/Angstrom
  void virial_std(bool of_pops, double std[6]) const;             // of all ranks, eV; collective

  std::size_t n_bytes() const { return bytes_of(forces_, virials_); }

 private:
  void check_finite(const Graph &graph, const Configuration &configuration) const;

  Stack stack_ = {};
  bool known_ = false;
  std::vector<double> forces_;     // (n_nodes, 3 n_sets) member - model, eV/Angstrom
  std::vector<double> virials_;    // (n_sets, 6) of this rank's edges, eV
};

}    // namespace lmp_uq
#endif
