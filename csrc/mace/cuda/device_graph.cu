// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cuda/device_graph.h"

#include <cmath>
#include <stdexcept>
#include <string>

namespace lmp_uq::cuda {

DeviceList::DeviceList(const AtomGraph &graph, int n_elements, int n_threads, cudaStream_t stream)
    : NodeRows(graph, n_elements, n_threads), number_(graph.list.number)
{
  const std::vector<int> id = sort_edges(graph);
  std::vector<int> source;
  for (const int e : id) source.push_back(row[graph.neighbours[e]]);
  find_leaving(source, stream);
  if (number_ != 0) {
    std::vector<int> sites, row_of_site(graph.list.n_sites, -1), site_of_row;
    for (std::size_t k = 0; k < id.size(); ++k) sites.push_back(graph.list.of_edge[id[k]]), row_of_site[sites[k]] = source[k];
    for (int i = 0; i < n_local; ++i) site_of_row.push_back(graph.list.of_node[node[i]]);
    row_of_site_.upload(row_of_site, stream);
    site_of_row_.upload(site_of_row, stream);
    site_.upload(sites, stream);
  } else {
    site_.upload(source, stream);
  }
  device_start_.upload(start_, stream);
  id_.upload(id, stream);
  node_.upload(node, stream);
  element_.upload(element, stream);
}

std::vector<int> DeviceList::sort_edges(const AtomGraph &graph)
{
  start_.assign(n_local + 1, 0);
  for (std::int64_t e = 0; e < graph.n_edges; ++e) {
    check_ends(graph, e);
    ++start_[row[graph.centres[e]] + 1];
  }
  for (int i = 0; i < n_local; ++i) start_[i + 1] += start_[i];
  std::vector<int> next(start_.begin(), start_.end() - 1), id(graph.n_edges);
  for (std::int64_t e = 0; e < graph.n_edges; ++e) id[next[row[graph.centres[e]]]++] = static_cast<int>(e);
  return id;
}

void DeviceList::find_leaving(const std::vector<int> &source, cudaStream_t stream)
{
  std::vector<int> start(n_nodes + 1, 0), leaving(source.size());
  for (const int s : source) ++start[s + 1];
  for (int j = 0; j < n_nodes; ++j) start[j + 1] += start[j];
  std::vector<int> next(start.begin(), start.end() - 1);
  for (std::size_t k = 0; k < source.size(); ++k) leaving[next[source[k]]++] = static_cast<int>(k);
  leaving_start_.upload(start, stream);
  leaving_.upload(leaving, stream);
}

std::size_t DeviceList::n_bytes() const
{
  std::size_t n = bytes_of(node, row, element, start_, wanted_.rows, wanted_.place) + wanted_.on_device.bytes();
  for (const auto *array : {&device_start_, &id_, &site_, &row_of_site_, &site_of_row_, &node_, &element_, &leaving_start_, &leaving_}) n += array->bytes();
  return n;
}

void DeviceGraph::take(std::shared_ptr<const DeviceList> list, const AtomGraph &graph, double cutoff, cudaStream_t stream)
{
  list_ = std::move(list);
  const bool sites = list_->number() != 0;
  moving_.upload(sites ? graph.list.positions : graph.vectors, 3 * static_cast<std::size_t>(sites ? graph.list.n_sites : graph.n_edges), stream);
  start_.resize(n_local() + 1), host_start_.resize(n_local() + 1);
  bad_.resize(1), host_bad_.resize(1);
  edge_of_.resize(graph.n_edges);
  require(cudaMemsetAsync(bad_.data(), NO_EDGE & 0xff, sizeof(int), stream));
  FindEdges find = {list_->view(moving_.data()), n_local(), cutoff, start_.data(), bad_.data(),
                    edge_of_.data(), nullptr, nullptr, nullptr};
  count_edges(find, stream);
  add_up(n_local(), start_.data(), stream);
  start_.download(host_start_.data(), start_.size(), stream);
  bad_.download(host_bad_.data(), 1, stream);
  require(cudaStreamSynchronize(stream));
  if (host_bad_[0] != NO_EDGE) throw std::runtime_error(bad_edge_text(graph, host_bad_[0]));
  for (auto *array : {&centre_, &source_}) array->resize(room());
  vector_.resize(3 * static_cast<std::size_t>(room()));
  find.centre = centre_.data(), find.source = source_.data(), find.vector = vector_.data();
  fill_edges(find, stream);
}

std::size_t DeviceGraph::n_bytes() const
{
  std::size_t n = (list_ ? list_->n_bytes() : 0) + moving_.bytes() + vector_.bytes();
  for (const auto *array : {&start_, &bad_, &edge_of_, &centre_, &source_}) n += array->bytes();
  return n;
}

}    // namespace lmp_uq::cuda
