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
  // graph: whose nodes the rows belong to; configuration: the atoms that they are
  GhostComm(LAMMPS_NS::LAMMPS *lmp, LAMMPS_NS::Pair &pair, const Graph &graph, Configuration &configuration, StepClock &clock) :
      Pointers(lmp), pair_(pair), graph_(graph), configuration_(configuration), clock_(clock)
  {
  }

  // Before LAMMPS sizes the buffers of its communication, at the set-up of a run: doubles of the widest rows of the run, either way.
  void make_room(int forward, int reverse);
  void serve(uq_graph &view);    // sets its exchange
  // rows (n_nodes, width): those of ghosts become copies of their owners'
  void send_out(double *rows, int width);
  // rows (n_nodes, width): the parts that lie on ghosts are added to their owners' and leave zeros
  void send_home(double *rows, int width);

  // For pulls of moments x_k E_k: the frame of a ghost lies off its owner's by shift, so what it sends home of a pull weighted with x_k is
  // less by shift times what it sends of the same pull with unit weights. The reverse exchanges of that one are kept first.
  void keep_reverse();
  void shift_reverse(std::vector<double> shifts);    // (n_ghost) Angstrom
  void plain_reverse();

  // guarded() of a step; what went wrong inside of an exchange that the model asked for comes out as it was.
  void guarded(const std::function<void()> &work);

  // what LAMMPS asks of the pair style meanwhile
  int pack_forward(int n, const int *atoms, double *out) const;
  void unpack_forward(int n, int first, const double *in) const;
  int pack_reverse(int n, int first, double *out);
  void unpack_reverse(int n, const int *atoms, const double *in) const;

 private:
  int exchange(const GhostRows &rows, bool forward);
  void exchange_by_id(bool forward);
  void keep_or_shift(const GhostRows &rows);
  const int *ghost_nodes();

  LAMMPS_NS::Pair &pair_;
  const Graph &graph_;
  Configuration &configuration_;
  StepClock &clock_;

  enum { PLAIN, KEEP, SHIFT } reverse_ = PLAIN;
  std::vector<std::vector<double>> kept_;    // (n_ghost, width) of each reverse exchange of the pull with unit weights
  std::vector<double> shifts_;               // (n_ghost)
  std::size_t next_kept_ = 0;

  GhostRows rows_ = {};    // of the exchange under way
  std::vector<int> ghost_nodes_;
  std::exception_ptr pending_;    // a LAMMPS exception must not unwind through Python: it waits here
};

}    // namespace lmp_uq
#endif
