// SPDX-License-Identifier: GPL-2.0-or-later
// A sorted graph in device memory, with the lists of the edges that leave each node.
#ifndef LMP_UQ_CUDA_DEVICE_GRAPH_H
#define LMP_UQ_CUDA_DEVICE_GRAPH_H

#include "mace/atom_graph.h"
#include "mace/cuda/device.h"
#include "mace/cuda/kernels.h"

#include <memory>

namespace lmp_uq::cuda {

class DeviceGraph {
 public:
  void take(std::unique_ptr<const SortedGraph> sorted, cudaStream_t stream);    // in place of the one before

  const SortedGraph &host() const { return *sorted_; }
  Edges edges() const { return {start_.data(), centre_.data(), source_.data(), element_.data(), length_.data(), direction_.data(), id_.data()}; }
  int n_local() const { return sorted_->n_local; }
  int n_nodes() const { return sorted_->n_nodes; }
  int n_edges() const { return static_cast<int>(sorted_->source.size()); }
  const int *node() const { return node_.data(); }              // (n_local)
  const int *element() const { return element_.data(); }        // (n_nodes)
  const int *leaving_start() const { return leaving_start_.data(); }    // (n_nodes+1)
  const int *leaving() const { return leaving_.data(); }        // (n_edges) by source, numbers rising
  std::size_t n_bytes() const
  {
    return sorted_->n_bytes() + start_.bytes() + centre_.bytes() + source_.bytes() + element_.bytes() + node_.bytes() + leaving_start_.bytes() +
        leaving_.bytes() + id_.bytes() + length_.bytes() + direction_.bytes();
  }

 private:
  std::unique_ptr<const SortedGraph> sorted_;
  DeviceArray<int> start_, centre_, source_, element_, node_, leaving_start_, leaving_;
  DeviceArray<std::int64_t> id_;
  DeviceArray<double> length_, direction_;
};

}    // namespace lmp_uq::cuda
#endif
