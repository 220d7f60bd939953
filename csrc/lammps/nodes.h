// SPDX-License-Identifier: GPL-2.0-or-later
// Which atoms of LAMMPS a model sees, numbered without gaps: the atoms of this rank that take part, then the ghosts whose rows are exchanged.
// A periodic image of an atom of this rank is that atom, and ghosts that are images of one atom of another rank are one node.
#ifndef LMP_UQ_NODES_H
#define LMP_UQ_NODES_H

#include "base/bytes.h"

#include <cstddef>
#include <vector>

namespace lmp_uq {

class Nodes {
 public:
  // Anew for each neighbour list. takes_part (n_local + n_ghost); owners (n_ghost, 2) the rank and number there of the atom that a ghost is
  // an image of; keep_images: every ghost that takes part is a node. std::runtime_error: a ghost takes part and its owner here does not.
  void make(int n_local, const std::vector<char> &takes_part, const double *owners, int this_rank, bool keep_images);

  int n_own() const { return n_own_; }
  int n() const { return static_cast<int>(atoms_.size()); }
  int n_ghosts() const { return n() - n_own_; }
  bool keep_images() const { return keep_images_; }
  int of_atom(int atom) const { return nodes_[atom]; }    // -1: takes no part
  int atom(int node) const { return atoms_[node]; }
  const int *of_atoms() const { return nodes_.data(); }
  const int *atoms() const { return atoms_.data(); }
  // of the ghosts first .. first+n of LAMMPS' atoms those that are nodes of their own: first of them and their number
  int first_ghost(int first) const { return first_ghost_[first - n_local_]; }
  int n_ghosts(int first, int n) const { return first_ghost(first + n) - first_ghost(first); }
  bool is_own_ghost(int ghost) const { return n_ghosts(ghost, 1) == 1; }

  // rows (n_own, width) of the nodes of this rank as (n_local, width) of its atoms, 0 for those that take no part; and back
  bool are_all_atoms() const { return n_own_ == n_local_; }
  std::vector<double> to_atoms(const double *rows, int width) const;
  void to_nodes(const double *rows, int width, double *out) const;

  std::size_t n_bytes() const { return bytes_of(nodes_, atoms_, first_ghost_); }

 private:
  int n_local_ = 0, n_own_ = 0;
  bool keep_images_ = false;
  std::vector<int> nodes_;          // (n_local + n_ghost) of each atom
  std::vector<int> atoms_;          // (n) of each node
  std::vector<int> first_ghost_;    // (n_ghost + 1) first node that belongs to this ghost or one behind it
};

}    // namespace lmp_uq
#endif
