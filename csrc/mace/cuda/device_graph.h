// SPDX-License-Identifier: GPL-2.0-or-later
// A graph in device memory: a list of edges that lasts for many steps, and those of a step, found in it on the device.
#ifndef LMP_UQ_CUDA_DEVICE_GRAPH_H
#define LMP_UQ_CUDA_DEVICE_GRAPH_H

#include "mace/atom_graph.h"
#include "mace/cuda/device.h"
#include "mace/cuda/listed_edges.h"

#include <memory>

namespace lmp_uq::cuda {

// Which rows an exchange of ghosts asks for: learnt from the first one.
struct WantedRows {
  bool known = false;
  std::vector<int> rows, place;          // of local atoms; (n_local) where each is among them, -1: nobody asks
  DeviceArray<int> on_device;            // rows
};

class DeviceList : public NodeRows {
 public:
  // std::runtime_error: an index outside its range
  DeviceList(const AtomGraph &graph, int n_elements, int n_threads, cudaStream_t stream);

  std::int64_t number() const { return number_; }
  std::size_t n_graph_edges() const { return site_.size(); }
  const std::vector<int> &elements() const { return elements_; }       // that nodes have, rising
  const std::vector<int> &start() const { return start_; }             // (n_local+1) first listed edge of each row
  // moving: positions or vectors, as the graph has them
  ListedEdges view(const double *moving) const
  {
    return {device_start_.data(), id_.data(), site_.data(), row_of_site_.size() ? row_of_site_.data() : nullptr, site_of_row_.data(), moving};
  }
  const int *node_of() const { return node_.data(); }                  // (n_nodes) by row
  const int *element_of() const { return element_.data(); }            // (n_nodes) by row
  const int *leaving_start() const { return leaving_start_.data(); }   // (n_nodes+1)
  const int *leaving() const { return leaving_.data(); }               // (n_listed) by source, numbers in the list rising
  const int *id() const { return id_.data(); }                         // (n_listed) number in the graph
  WantedRows &wanted() const { return wanted_; }
  std::size_t n_bytes() const;

 private:
  void sort_edges(const AtomGraph &graph, int n_threads, cudaStream_t stream);
  std::vector<int> order(const AtomGraph &graph, int n_threads);
  void find_leaving(cudaStream_t stream);

  std::int64_t number_;
  std::vector<int> elements_, start_;
  DeviceArray<int> device_start_, id_, site_, row_of_site_, site_of_row_, node_, element_, leaving_start_, leaving_;
  mutable WantedRows wanted_;
};

class DeviceGraph {
 public:
  // In place of the one before. lasting: arrays have room for all listed edges, so that nothing changes with a step but what they hold.
  // std::runtime_error: an edge without length
  void take(std::shared_ptr<const DeviceList> list, const AtomGraph &graph, double cutoff, bool lasting, cudaStream_t stream);

  const DeviceList &list() const { return *list_; }
  Edges edges() const { return {start_.data(), centre_.data(), source_.data(), list_->element_of(), vector_.data()}; }
  int n_local() const { return list_->n_local; }
  int n_nodes() const { return list_->n_nodes; }
  int n_edges() const { return host_start_[n_local()]; }
  bool is_lasting() const { return lasting_; }
  int room() const { return lasting_ ? static_cast<int>(list_->n_graph_edges()) : n_edges(); }    // edges
  int first_edge(int row) const { return row < n_local() ? host_start_[row] : room(); }
  const int *node() const { return list_->node_of(); }                 // (n_nodes)
  const int *element() const { return list_->element_of(); }           // (n_nodes)
  const int *edge_of() const { return edge_of_.data(); }               // (n_listed)
  std::size_t n_bytes() const;

 private:
  std::shared_ptr<const DeviceList> list_;
  bool lasting_ = false;
  DeviceArray<int> start_, bad_, edge_of_, centre_, source_;
  DeviceArray<double> moving_, vector_;                                // moving_: positions or vectors, as the graph has them
  PinnedArray<int> host_start_, host_bad_;
};

}    // namespace lmp_uq::cuda
#endif
