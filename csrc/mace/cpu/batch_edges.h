// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernels need of a batch's edges in one layer: harmonics, rows of radial tables, densities.
#ifndef LMP_UQ_BATCH_EDGES_H
#define LMP_UQ_BATCH_EDGES_H

#include "mace/atom_graph.h"
#include "mace/cpu/layer.h"

#include <vector>

namespace lmp_uq {

template <class T> class BatchEdges {
 public:
  void prepare(const Layer<T> &layer, const SortedGraph &graph, const Batch &batch, int l_max);

  EdgeBatch<T> view() const;
  int n_edges() const { return static_cast<int>(row_.size()); }
  double per_length(int e) const { return per_length_[e]; }            // dt/dr of an edge
  double density_slope(int e) const { return density_slope_[e]; }      // 1/Angstrom
  std::size_t n_bytes() const
  {
    return bytes_of(start_, harmonics_, exact_, row_, stride_, t_, per_length_, density_, density_slope_);
  }
  double density(int centre) const { return density_[centre]; }        // sum over a centre's edges

 private:
  void prepare_exactly(const Layer<T> &layer, const std::vector<int> &edges, const SortedGraph &graph, int first, int element);

  std::vector<int> start_;
  const int *source_ = nullptr;
  Aligned<T> harmonics_, exact_;
  std::vector<const T *> row_;
  std::vector<std::size_t> stride_;
  std::vector<T> t_;
  std::vector<double> per_length_, density_, density_slope_;
};

}    // namespace lmp_uq
#endif
