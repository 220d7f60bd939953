// SPDX-License-Identifier: GPL-2.0-or-later
#include "nodes.h"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <unordered_map>

using lmp_uq::Nodes;

void Nodes::make(int n_local, const std::vector<char> &takes_part, const double *owners, int this_rank, bool keep_images)
{
  const int n_atoms = static_cast<int>(takes_part.size());
  n_local_ = n_local;
  keep_images_ = keep_images;
  nodes_.assign(n_atoms, -1);
  atoms_.clear();
  first_ghost_.clear();
  const auto add = [&](int atom) {
    nodes_[atom] = n();
    atoms_.push_back(atom);
  };
  for (int i = 0; i < n_local; i++)
    if (takes_part[i]) add(i);
  n_own_ = n();
  std::unordered_map<std::int64_t, int> seen;    // nodes of atoms of other ranks
  for (int i = n_local; i < n_atoms; i++) {
    first_ghost_.push_back(n());
    if (!takes_part[i]) continue;
    const double *owner = owners + 2 * static_cast<std::size_t>(i - n_local);
    const int rank = static_cast<int>(owner[0]), number = static_cast<int>(owner[1]);
    if (keep_images) {
      add(i);
    } else if (rank == this_rank) {
      nodes_[i] = nodes_[number];
      if (nodes_[i] < 0) throw std::runtime_error("an image of an atom that takes no part takes part");
    } else {
      const auto [found, is_new] = seen.emplace(static_cast<std::int64_t>(rank) << 32 | number, n());
      if (is_new) atoms_.push_back(i);
      nodes_[i] = found->second;
    }
  }
  first_ghost_.push_back(n());
}

std::vector<double> Nodes::to_atoms(const double *rows, int width) const
{
  std::vector<double> out(static_cast<std::size_t>(n_local_) * width + 1, 0.0);    // never empty: a pointer is handed over
  for (int node = 0; node < n_own_; node++)
    std::copy_n(rows + static_cast<std::size_t>(node) * width, width, out.data() + static_cast<std::size_t>(atoms_[node]) * width);
  return out;
}

void Nodes::to_nodes(const double *rows, int width, double *out) const
{
  for (int node = 0; node < n_own_; node++)
    std::copy_n(rows + static_cast<std::size_t>(atoms_[node]) * width, width, out + static_cast<std::size_t>(node) * width);
}
