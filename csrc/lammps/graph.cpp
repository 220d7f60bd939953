// SPDX-License-Identifier: GPL-2.0-or-later
#include "graph.h"

#include "lammps/neigh_list.h"

#include <algorithm>
#include <cmath>

using lmp_uq::Graph;

void Graph::reserve(std::size_t capacity)
{
  if (centres_.size() >= capacity) return;
  capacity += capacity / 8 + 64;
  centres_.resize(capacity);
  neighbours_.resize(capacity);
  vectors_.resize(3 * capacity);
}

int64_t Graph::build(const LAMMPS_NS::NeighList &list, const Atoms &atoms, double cutoff)
{
  species_.resize(n_nodes());
  for (int k = 0; k < n_nodes(); k++) species_[k] = atoms.species_of_type[atoms.type[nodes_.atom(k)]];
  std::size_t capacity = 0;
  for (int ii = 0; ii < list.inum; ii++) capacity += list.numneigh[list.ilist[ii]];
  reserve(capacity + 1);    // the loop writes before it decides, so one slot more than there are neighbours

  const double cutoff_squared = cutoff * cutoff;
  int64_t n = 0, coincident = -1;
  for (int ii = 0; ii < list.inum; ii++) {
    const int i = list.ilist[ii];
    const int centre = nodes_.of_atom(i);
    if (centre < 0) continue;
    const double *xi = atoms.x + 3 * static_cast<std::size_t>(i);
    for (int jj = 0; jj < list.numneigh[i]; jj++) {
      const int j = list.firstneigh[i][jj] & NEIGHMASK;
      const int neighbour = nodes_.of_atom(j);
      const double *xj = atoms.x + 3 * static_cast<std::size_t>(j);
      const double dx = xj[0] - xi[0], dy = xj[1] - xi[1], dz = xj[2] - xi[2];
      const double squared = dx * dx + dy * dy + dz * dz;
      centres_[n] = centre;
      neighbours_[n] = neighbour;
      vectors_[3 * n] = dx;
      vectors_[3 * n + 1] = dy;
      vectors_[3 * n + 2] = dz;
      if (squared < 1e-12 && neighbour >= 0) coincident = n;
      n += (squared < cutoff_squared) & (neighbour >= 0);
    }
  }
  n_edges_ = n;
  return coincident;
}

int Graph::first_lost(const Atoms &atoms) const
{
  for (int k = 0; k < n_nodes(); k++) {
    const double *x = atoms.x + 3 * static_cast<std::size_t>(nodes_.atom(k));
    if (!(std::isfinite(x[0]) && std::isfinite(x[1]) && std::isfinite(x[2]))) return k;
  }
  return -1;
}

int Graph::first_without_species() const
{
  const auto found = std::find(species_.begin(), species_.end(), -1);
  return found == species_.end() ? -1 : static_cast<int>(found - species_.begin());
}

void Graph::forces(const double *gradients, std::vector<double> &forces) const
{
  forces.assign(3 * static_cast<std::size_t>(n_nodes()), 0.0);
  add_forces(gradients, forces.data(), 3);
}

void Graph::add_forces(const double *gradients, double *columns, std::size_t width) const
{
  for (int64_t e = 0; e < n_edges_; e++) {
    double *fi = columns + width * centres_[e], *fj = columns + width * neighbours_[e];
    for (int k = 0; k < 3; k++) {
      fi[k] += gradients[3 * e + k];
      fj[k] -= gradients[3 * e + k];
    }
  }
}

void Graph::virial(const double *gradients, double *virial, double **vatom) const
{
  static constexpr int FIRST[6] = {0, 1, 2, 0, 0, 1}, SECOND[6] = {0, 1, 2, 1, 2, 2};
  for (int64_t e = 0; e < n_edges_; e++) {
    const double *r = vectors_.data() + 3 * e, *g = gradients + 3 * e;
    for (int k = 0; k < 6; k++) {
      const double w = -0.5 * (r[FIRST[k]] * g[SECOND[k]] + r[SECOND[k]] * g[FIRST[k]]);
      if (virial) virial[k] += w;
      if (vatom) {
        vatom[nodes_.atom(centres_[e])][k] += 0.5 * w;
        vatom[nodes_.atom(neighbours_[e])][k] += 0.5 * w;
      }
    }
  }
}
