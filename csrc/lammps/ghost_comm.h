// SPDX-License-Identifier: GPL-2.0-or-later
// Rows of ghosts, from their owners and back, for a model that asks inside of its passes: through LAMMPS' communication of the pair style, or,
// where LAMMPS has the atoms in another order now, by atom ID. Only nodes have rows: of the atoms that LAMMPS would send, what is sent are
// those that are a node of their own where they arrive.
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
#include <memory>
#include <unordered_map>
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
  void forget_plan() { planned_ = false; }    // LAMMPS makes its ghosts anew
  // For a new neighbour list: the nodes, and whose rows LAMMPS' messages hold from now on. takes_part (n_local + n_ghost). Collective.
  void plan(const std::vector<char> &takes_part, bool keep_images, Nodes &nodes);
  void forget_routes() { routes_.reset(); }    // of other atoms

  void serve(uq_graph &view);    // sets its exchange
  // rows (n_nodes, width): those of ghosts become copies of their owners'
  void send_out(double *rows, int width);
  // rows (n_nodes, width): the parts that lie on ghosts are added to their owners' and leave zeros
  void send_home(double *rows, int width);

  // guarded() of a step; what went wrong inside of an exchange that the model asked for comes out as it was.
  void guarded(const std::function<void()> &work);

  // what LAMMPS asks of the pair style meanwhile
  int pack_forward(int n, const int *atoms, double *out) const;
  void unpack_forward(int n, int first, const double *in);
  int pack_reverse(int n, int first, double *out) const;
  void unpack_reverse(int n, const int *atoms, const double *in);

  std::size_t n_bytes() const;

 private:
  int exchange(const GhostRows &rows, bool forward);
  void exchange_here(bool forward);
  void exchange_by_id(bool forward);
  void exchange_by_lammps(int width, bool forward);
  int packed(int n, const int *nodes, double *out) const;
  bool nothing_to_exchange() const;
  const AtomRoutes &routes();

  LAMMPS_NS::Pair &pair_;
  const Graph &graph_;
  Configuration &configuration_;
  StepClock &clock_;

  GhostRows rows_ = {};    // of the exchange under way
  enum { ROWS, OWNERS, WISHES } content_ = ROWS;    // of its messages; the other two make a plan
  std::vector<double> owners_;      // (n_local + n_ghost, 2) rank and number there
  bool planned_ = false;
  std::vector<int> ghost_nodes_;    // their numbers, one after another
  std::vector<int> owner_nodes_;    // on the only rank: whose images they are
  std::unordered_map<const int *, std::vector<int>> sent_;    // nodes of each of LAMMPS' lists of atoms to send
  std::unique_ptr<AtomRoutes> routes_;    // between nodes by atom ID
  std::exception_ptr pending_;    // a LAMMPS exception must not unwind through Python: it waits here
};

}    // namespace lmp_uq
#endif
