// SPDX-License-Identifier: GPL-2.0-or-later
// Heat flux of a message-passing model: dE_k/dr_ij is not zero for atoms k that are neither i nor j, so it cannot be made of the two ends of
// an edge, nor of virials per atom.
#ifndef LMP_UQ_HEAT_FLUX_H
#define LMP_UQ_HEAT_FLUX_H

#include "base/bytes.h"
#include "configuration.h"
#include "evaluator.h"
#include "ghost_comm.h"
#include "graph.h"

#include "lammps/pointers.h"

#include <cstddef>
#include <vector>

namespace lmp_uq {

class HeatFlux : protected LAMMPS_NS::Pointers {
 public:
  explicit HeatFlux(LAMMPS_NS::LAMMPS *lmp) : Pointers(lmp) {}

  // With the forces: fixes may move atoms before the end of the step.
  void take_positions(const Graph &graph);

  // Of the graph last evaluated, with its derivatives kept, and the present velocities: (6) total x y z, convective x y z, then by how much
  // each of these force members, by the numbers of the evaluator, changes x y z of the potential part, of all ranks, eV Angstrom/ps. energies (n_local) eV; view: the graph
  // as the evaluator sees it. Collective.
  struct Members {
    int first, n;
  };
  std::vector<double> compute(Evaluator &evaluator, const Graph &graph, uq_graph view, GhostComm &ghosts, const Configuration &configuration,
                              const double *energies, const Members &members);

  std::size_t n_bytes() const { return bytes_of(x_, motion_, weights_, shifts_, gradients_); }

 private:
  void take_motion(const Graph &graph, GhostComm &ghosts, const Configuration &configuration);
  void add_convective(const Graph &graph, const double *energies, double *flux) const;
  void take_moments(const Graph &graph, GhostComm &ghosts);
  void add_potential(Evaluator &evaluator, const Graph &graph, const uq_graph &view, int member, double *flux);

  static constexpr int SETS = 4;      // unit weights, x, y, z
  std::vector<double> x_;             // (n_nodes, 3) Angstrom, from an origin of this rank
  std::vector<double> motion_;        // (n_nodes, 4) velocity, Angstrom/ps, and mass
  std::vector<double> weights_;       // (SETS, n_local)
  std::vector<double> shifts_;        // (n_ghost, 3) Angstrom: how far the ghost's frame lies off its owner's
  std::vector<double> gradients_;     // (SETS, n_edges, 3)
};

}    // namespace lmp_uq
#endif
