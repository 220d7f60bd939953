// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cuda/device_graph.h"

#include <cmath>
#include <stdexcept>
#include <string>

namespace lmp_uq::cuda {

DeviceList::DeviceList(const AtomGraph &graph, int n_elements, int n_threads, cudaStream_t stream)
    : NodeRows(graph, n_elements, n_threads), number_(graph.list)
{
  std::vector<int> source, id;
  sort_edges(graph, source, id);
  std::vector<int> leaving_start(n_nodes + 1, 0), leaving(source.size());
  for (const int s : source) ++leaving_start[s + 1];
  for (int j = 0; j < n_nodes; ++j) leaving_start[j + 1] += leaving_start[j];
  std::vector<int> next(leaving_start.begin(), leaving_start.end() - 1);
  for (std::size_t k = 0; k < source.size(); ++k) leaving[next[source[k]]++] = static_cast<int>(k);
  device_start_.upload(start_, stream);
  source_.upload(source, stream);
  id_.upload(id, stream);
  node_.upload(node, stream);
  element_.upload(element, stream);
  leaving_start_.upload(leaving_start, stream);
  leaving_.upload(leaving, stream);
}

void DeviceList::sort_edges(const AtomGraph &graph, std::vector<int> &source, std::vector<int> &id)
{
  start_.assign(n_local + 1, 0);
  for (std::int64_t e = 0; e < graph.n_edges; ++e) {
    check_ends(graph, e);
    ++start_[row[graph.centres[e]] + 1];
  }
  for (int i = 0; i < n_local; ++i) start_[i + 1] += start_[i];
  std::vector<int> next(start_.begin(), start_.end() - 1);
  source.resize(graph.n_edges);
  id.resize(graph.n_edges);
  for (std::int64_t e = 0; e < graph.n_edges; ++e) {
    const int k = next[row[graph.centres[e]]]++;
    source[k] = row[graph.neighbours[e]];
    id[k] = static_cast<int>(e);
  }
}

std::size_t DeviceList::n_bytes() const
{
  return bytes_of(node, row, element, start_, wanted_.rows, wanted_.place) + device_start_.bytes() + source_.bytes() + id_.bytes() + node_.bytes() +
      element_.bytes() + leaving_start_.bytes() + leaving_.bytes() + wanted_.on_device.bytes();
}

void DeviceGraph::take(std::shared_ptr<const DeviceList> list, const AtomGraph &graph, double cutoff, cudaStream_t stream)
{
  list_ = std::move(list);
  if (graph.positions) moving_.upload(graph.positions, 3 * static_cast<std::size_t>(n_nodes()), stream);
  else moving_.upload(graph.vectors, 3 * static_cast<std::size_t>(graph.n_edges), stream);
  start_.resize(n_local() + 1), host_start_.resize(n_local() + 1);
  bad_.resize(1), host_bad_.resize(1);
  edge_of_.resize(graph.n_edges);
  require(cudaMemsetAsync(bad_.data(), NO_EDGE & 0xff, sizeof(int), stream));
  FindEdges find = {list_->view(graph.positions ? moving_.data() : nullptr, moving_.data()), n_local(), cutoff, start_.data(), bad_.data(),
                    edge_of_.data(), nullptr, nullptr, nullptr, nullptr};
  count_edges(find, stream);
  add_up(n_local(), start_.data(), stream);
  start_.download(host_start_.data(), start_.size(), stream);
  bad_.download(host_bad_.data(), 1, stream);
  require(cudaStreamSynchronize(stream));
  if (host_bad_[0] != NO_EDGE) throw std::runtime_error(bad_edge_text(graph, host_bad_[0]));
  n_edges_ = host_start_[n_local()];
  for (auto *array : {&centre_, &source_, &id_}) array->resize(n_edges_);
  vector_.resize(3 * static_cast<std::size_t>(n_edges_));
  find.centre = centre_.data(), find.source = source_.data(), find.id = id_.data(), find.vector = vector_.data();
  fill_edges(find, stream);
}

std::size_t DeviceGraph::n_bytes() const
{
  std::size_t n = (list_ ? list_->n_bytes() : 0) + moving_.bytes() + vector_.bytes();
  for (const auto *array : {&start_, &bad_, &edge_of_, &centre_, &source_, &id_}) n += array->bytes();
  return n;
}

}    // namespace lmp_uq::cuda
