// SPDX-License-Identifier: GPL-2.0-or-later
// The adapter between LAMMPS' neighbour list and the edges that a model sees.
#ifndef LMP_UQ_GRAPH_H
#define LMP_UQ_GRAPH_H

#include "bridge.h"
#include "mace/cpu/edge_sums.h"
#include "nodes.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace LAMMPS_NS {
class NeighList;
}

namespace lmp_uq {

class Graph {
 public:
  // What LAMMPS knows of the n atoms of this rank and its ghosts. species_of_type[type] is -1 for types that do not take part (NULL in pair_coeff).
  struct Atoms {
    int n;
    const double *x;    // (n, 3)
    const int *type;
    const int *species_of_type;
  };

  Graph();
  ~Graph();
  void use_threads(int n);             // of this rank; 1 without

  Nodes &nodes() { return nodes_; }    // made before build() whenever there is a new list
  const Nodes &nodes() const { return nodes_; }

  // After build(), a node or -1: the first whose position is not a finite number, as its distances pass no cutoff; the first whose atom has
  // become one of a type that takes no part since the list was made.
  int first_lost(const Atoms &atoms) const;
  int first_without_species() const;

  // Directed edges i -> j within the cutoff, every centre i local, sorted by centre. Returns -1, or the index of an edge of zero length.
  int64_t build(const LAMMPS_NS::NeighList &list, const Atoms &atoms, double cutoff);

  // In place of build(), for an evaluator that takes lists: all edges of LAMMPS' list, when that is new, and where atoms are now.
  void take_list(const LAMMPS_NS::NeighList &list);
  void take_positions(const Atoms &atoms);
  int64_t first_coincident() const;    // edge of zero length in a list, or -1

  void serve(uq_graph &view) const;    // sets all of it but the exchange

  // vatom += half of -r (x) dE/dr, symmetrised, for the atoms at either end of an edge (xx yy zz xy xz yz)
  void virials_of_atoms(const double *gradients, double **vatom) const;

  std::size_t n_bytes() const;
  int64_t n_edges() const { return n_edges_; }
  int n_local() const { return nodes_.n_own(); }
  int n_nodes() const { return nodes_.n(); }
  const int64_t *species() const { return species_.data(); }
  const int64_t *centres() const { return centres_.data(); }
  const int64_t *neighbours() const { return neighbours_.data(); }

 private:
  struct Share;
  void reserve(std::size_t capacity);
  int64_t write(const Share &share, const LAMMPS_NS::NeighList &list, const Atoms &atoms, int first, int64_t e);
  void take_species(const Atoms &atoms);
  void between_sites(int64_t e, double vector[3]) const;

  Nodes nodes_;
  int64_t n_edges_ = 0;
  // buffers only ever grow: allocation in every step would cost more than the loop that fills them
  std::vector<int64_t> species_, centres_, neighbours_;
  std::vector<double> vectors_;
  std::vector<Share> shares_;          // of each thread

  bool is_list_ = false;
  int64_t list_number_ = 0;
  std::vector<int> sites_;             // LAMMPS' atom that each edge's neighbour is
  std::vector<double> positions_;      // (n_sites, 3) when forces were computed
  mutable EdgeSums sums_{1};           // scratch
};

}    // namespace lmp_uq
#endif
