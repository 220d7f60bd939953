// SPDX-License-Identifier: GPL-2.0-or-later
#include "graph.h"

#include "base/threads.h"

#include "lammps/neigh_list.h"

#include <algorithm>
#include <cmath>

using lmp_uq::Graph;
using lmp_uq::in_parallel;
using lmp_uq::over_rows;

static constexpr double NO_LENGTH = 1e-12;    // Angstrom^2: below it a direction means nothing

void Graph::reserve(std::size_t capacity)
{
  if (std::min(centres_.size(), vectors_.size() / 3) >= capacity) return;    // a list has no vectors
  capacity += capacity / 8 + 64;
  centres_.resize(capacity);
  neighbours_.resize(capacity);
  vectors_.resize(3 * capacity);
}

// A centre's neighbours within the cutoff are found first, without a branch that nobody can predict, and then written where they belong.
struct Graph::Share {
  std::vector<int> neighbours, n_of;    // atoms, and how many of each centre of this thread's part of the list
  int64_t n = 0;

  void find(const LAMMPS_NS::NeighList &list, const Atoms &atoms, const Nodes &nodes, double cutoff_squared, int first, int last)
  {
    std::size_t capacity = 1;    // the loop writes before it decides
    for (int ii = first; ii < last; ii++) capacity += list.numneigh[list.ilist[ii]];
    if (neighbours.size() < capacity) neighbours.resize(capacity + capacity / 8);
    n_of.assign(last - first, 0);
    n = 0;
    for (int ii = first; ii < last; ii++) {
      const int i = list.ilist[ii];
      if (nodes.of_atom(i) < 0) continue;
      const double *xi = atoms.x + 3 * static_cast<std::size_t>(i);
      const int64_t before = n;
      for (int jj = 0; jj < list.numneigh[i]; jj++) {
        const int j = list.firstneigh[i][jj] & NEIGHMASK;
        const double *xj = atoms.x + 3 * static_cast<std::size_t>(j);
        const double dx = xj[0] - xi[0], dy = xj[1] - xi[1], dz = xj[2] - xi[2];
        neighbours[n] = j;
        n += (dx * dx + dy * dy + dz * dz < cutoff_squared) & (nodes.of_atom(j) >= 0);
      }
      n_of[ii - first] = static_cast<int>(n - before);
    }
  }
};

Graph::Graph() : shares_(1) {}
Graph::~Graph() = default;

void Graph::use_threads(int n)
{
  if (static_cast<int>(shares_.size()) == n) return;
  shares_.resize(n);
  sums_ = lmp_uq::EdgeSums(n);
}

std::size_t Graph::n_bytes() const
{
  std::size_t n = nodes_.n_bytes() + sums_.n_bytes() +
      lmp_uq::bytes_of(species_, centres_, neighbours_, vectors_, sites_, positions_);
  for (const Share &share : shares_) n += lmp_uq::bytes_of(share.neighbours, share.n_of);
  return n;
}

void Graph::take_species(const Atoms &atoms)
{
  species_.resize(n_nodes());
  over_rows(static_cast<int>(shares_.size()), n_nodes(), [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; k++) species_[k] = atoms.species_of_type[atoms.type[nodes_.atom(static_cast<int>(k))]];
  });
}

int64_t Graph::build(const LAMMPS_NS::NeighList &list, const Atoms &atoms, double cutoff)
{
  const int n_parts = static_cast<int>(shares_.size());
  is_list_ = false;
  take_species(atoms);
  const auto begin = [&](int part) { return static_cast<int>(static_cast<int64_t>(list.inum) * part / n_parts); };
  in_parallel(n_parts, [&](int part) { shares_[part].find(list, atoms, nodes_, cutoff * cutoff, begin(part), begin(part + 1)); });
  n_edges_ = 0;
  std::vector<int64_t> first, coincident(n_parts, -1);
  for (const Share &share : shares_) {
    first.push_back(n_edges_);
    n_edges_ += share.n;
  }
  reserve(n_edges_);
  in_parallel(n_parts, [&](int part) { coincident[part] = write(shares_[part], list, atoms, begin(part), first[part]); });
  const auto found = std::find_if(coincident.begin(), coincident.end(), [](int64_t e) { return e >= 0; });
  return found == coincident.end() ? -1 : *found;
}

// the edges of a share from number e on; -1, or one of zero length
int64_t Graph::write(const Share &share, const LAMMPS_NS::NeighList &list, const Atoms &atoms, int first, int64_t e)
{
  int64_t coincident = -1;
  const int *j = share.neighbours.data();
  for (std::size_t k = 0; k < share.n_of.size(); k++) {
    const int i = list.ilist[first + static_cast<int>(k)];
    for (int q = 0; q < share.n_of[k]; q++, j++, e++) {
      centres_[e] = nodes_.of_atom(i);
      neighbours_[e] = nodes_.of_atom(*j);
      double squared = 0.0;
      for (int x = 0; x < 3; x++) {
        const double d = atoms.x[3 * static_cast<std::size_t>(*j) + x] - atoms.x[3 * static_cast<std::size_t>(i) + x];
        vectors_[3 * e + x] = d;
        squared += d * d;
      }
      if (squared < NO_LENGTH) coincident = e;
    }
  }
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

void Graph::take_list(const LAMMPS_NS::NeighList &list)
{
  const auto is_edge = [&](int i, int jj) { return nodes_.of_atom(list.firstneigh[i][jj] & NEIGHMASK) >= 0; };
  std::vector<int64_t> first(list.inum + 1, 0);    // edge of each atom of the list
  const int n_parts = static_cast<int>(shares_.size());
  over_rows(n_parts, list.inum, [&](int64_t begin, int64_t end) {
    for (int64_t ii = begin; ii < end; ii++)
      for (int i = list.ilist[ii], jj = 0; jj < list.numneigh[i] && nodes_.of_atom(i) >= 0; jj++) first[ii + 1] += is_edge(i, jj);
  });
  for (int ii = 0; ii < list.inum; ii++) first[ii + 1] += first[ii];
  n_edges_ = first[list.inum];
  for (auto *ends : {&centres_, &neighbours_}) ends->resize(n_edges_);
  sites_.resize(n_edges_);
  over_rows(n_parts, list.inum, [&](int64_t begin, int64_t end) {
    for (int64_t ii = begin; ii < end; ii++) {
      const int i = list.ilist[ii];
      int64_t e = first[ii];
      for (int jj = 0; e < first[ii + 1]; jj++)
        if (is_edge(i, jj)) {
          sites_[e] = list.firstneigh[i][jj] & NEIGHMASK;
          centres_[e] = nodes_.of_atom(i);
          neighbours_[e] = nodes_.of_atom(sites_[e]);
          e++;
        }
    }
  });
  is_list_ = true;
  list_number_++;
}

// An atom that changes its type does so without a new list of LAMMPS.
void Graph::take_positions(const Atoms &atoms)
{
  const std::vector<int64_t> before = species_;
  take_species(atoms);
  if (species_ != before) list_number_++;
  positions_.assign(atoms.x, atoms.x + 3 * static_cast<std::size_t>(atoms.n));
}

void Graph::between_sites(int64_t e, double vector[3]) const
{
  const double *to = positions_.data() + 3 * static_cast<std::size_t>(sites_[e]);
  const double *from = positions_.data() + 3 * static_cast<std::size_t>(nodes_.atom(static_cast<int>(centres_[e])));
  for (int x = 0; x < 3; x++) vector[x] = to[x] - from[x];
}

int64_t Graph::first_coincident() const
{
  for (int64_t e = 0; e < n_edges_ && is_list_; e++) {
    double v[3];
    between_sites(e, v);
    if (v[0] * v[0] + v[1] * v[1] + v[2] * v[2] < NO_LENGTH) return e;
  }
  return -1;
}

void Graph::serve(uq_graph &view) const
{
  view.n_local = n_local();
  view.n_ghost = n_nodes() - n_local();
  view.species = species_.data();
  view.n_edges = n_edges_;
  view.centres = centres_.data();
  view.neighbours = neighbours_.data();
  if (!is_list_) {
    view.vectors = vectors_.data();
    return;
  }
  view.list = list_number_;
  view.n_sites = static_cast<int>(positions_.size() / 3);
  view.node_of_site = nodes_.of_atoms();
  view.site_of_node = nodes_.atoms();
  view.site_of_edge = sites_.data();
  view.positions = positions_.data();
}

void Graph::virials_of_atoms(const double *gradients, double **vatom) const
{
  std::vector<double> of_node(6 * static_cast<std::size_t>(n_nodes()), 0.0), between(is_list_ ? 3 * n_edges_ : 0);
  for (int64_t e = 0; e < n_edges_ && is_list_; e++) between_sites(e, between.data() + 3 * e);
  sums_.add_virial({n_nodes(), n_edges_, centres(), neighbours(), is_list_ ? between.data() : vectors_.data()}, gradients, nullptr, of_node.data());
  for (std::size_t k = 0; k < of_node.size(); k++) vatom[nodes_.atom(static_cast<int>(k / 6))][k % 6] += of_node[k];
}
