// SPDX-License-Identifier: GPL-2.0-or-later
// Rows of ghosts, from their owners and back, for a model that asks inside of its passes: through LAMMPS' communication of the pair style, or,
// where LAMMPS has the atoms in another order now, by atom ID.
#ifndef LMP_UQ_GHOST_COMM_H
#define LMP_UQ_GHOST_COMM_H

#include "bridge.h"
#include "configuration.h"
#include "graph.h"
#include "step_clock.h"

#include "lammps/pointers.h"

#include <cstddef>
#include <exception>
#include <functional>
#include <vector>

namespace LAMMPS_NS {
class Pair;
}

namespace lmp_uq {

class GhostComm : protected LAMMPS_NS::Pointers {
 public:
  // Columns per call of LAMMPS' communication: its buffers are sized from comm_forward/comm_reverse and must not be overrun.
  static constexpr int CHUNK = 64;

  // graph: whose nodes the rows belong to; configuration: the atoms that they are
  GhostComm(LAMMPS_NS::LAMMPS *lmp, LAMMPS_NS::Pair &pair, const Graph &graph, Configuration &configuration, StepClock &clock) :
      Pointers(lmp), pair_(pair), graph_(graph), configuration_(configuration), clock_(clock)
  {
  }

  void serve(uq_graph &view);    // sets its callbacks
  // rows (n_nodes, width): those of ghosts become copies of their owners'
  void send_out(double *rows, int width);
  // rows (n_nodes, width): the parts that lie on ghosts are added to their owners' and leave zeros
  void send_home(double *rows, int width);

  // guarded() of a step; what went wrong inside of an exchange that the model asked for comes out as it was.
  void guarded(const std::function<void()> &work);

  // what LAMMPS asks of the pair style meanwhile
  int pack_forward(int n, const int *atoms, double *out) const;
  void unpack_forward(int n, int first, const double *in) const;
  int pack_reverse(int n, int first, double *out) const;
  void unpack_reverse(int n, const int *atoms, const double *in) const;

 private:
  int exchange(const uq_rows &rows, bool forward);
  int exchange(double *buffer, int width, bool forward);
  void exchange_by_id(bool forward);

  LAMMPS_NS::Pair &pair_;
  const Graph &graph_;
  Configuration &configuration_;
  StepClock &clock_;

  // exchange under way
  uq_rows rows_ = {};
  int first_column_ = 0, n_columns_ = 0;
  std::exception_ptr pending_;    // a LAMMPS exception must not unwind through Python: it waits here
};

}    // namespace lmp_uq
#endif
