// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cuda/device_graph.h"

#include "base/threads.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

namespace lmp_uq::cuda {

DeviceList::DeviceList(const AtomGraph &graph, int n_elements, int n_threads, cudaStream_t stream)
    : NodeRows(graph, n_elements, n_threads), number_(graph.list.number)
{
  std::vector<char> seen(n_elements, 0);
  for (const int z : element) seen[z] = 1;
  for (int z = 0; z < n_elements; ++z)
    if (seen[z]) elements_.push_back(z);
  node_.upload(node, stream);
  element_.upload(element, stream);
  if (number_ != 0) {
    std::vector<int> row_of_site(graph.list.n_sites, -1), site_of_row(n_local);
    for (int site = 0; site < graph.list.n_sites; ++site)
      if (graph.list.node_of_site[site] >= 0) row_of_site[site] = row[graph.list.node_of_site[site]];
    for (int i = 0; i < n_local; ++i) site_of_row[i] = graph.list.site_of_node[node[i]];
    row_of_site_.upload(row_of_site, stream);
    site_of_row_.upload(site_of_row, stream);
  }
  sort_edges(graph, n_threads, stream);
  find_leaving(stream);
}

// Numbers in the graph by node of the centre; none where they are in this order.
std::vector<int> DeviceList::order(const AtomGraph &graph, int n_threads)
{
  over_rows(n_threads, graph.n_edges, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t e = first; e < last; ++e) check_ends(graph, e);
  });
  std::vector<int> out;
  if (std::is_sorted(graph.centres, graph.centres + graph.n_edges)) return out;
  out.resize(graph.n_edges);
  std::iota(out.begin(), out.end(), 0);
  std::stable_sort(out.begin(), out.end(), [&](int a, int b) { return graph.centres[a] < graph.centres[b]; });
  return out;
}

void DeviceList::sort_edges(const AtomGraph &graph, int n_threads, cudaStream_t stream)
{
  const std::vector<int> sorted = order(graph, n_threads);
  std::vector<int> of_node(n_local + 1, 0), site(graph.n_edges);
  for (std::int64_t e = 0; e < graph.n_edges; ++e) ++of_node[graph.centres[e] + 1];
  start_.assign(n_local + 1, 0);
  for (int i = 0; i < n_local; ++i) start_[i + 1] = start_[i] + of_node[node[i] + 1];
  for (int i = 0; i < n_local; ++i) of_node[i + 1] += of_node[i];
  over_rows(n_threads, graph.n_edges, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t k = first; k < last; ++k) {
      const std::int64_t e = sorted.empty() ? k : sorted[k];
      site[k] = number_ != 0 ? graph.list.site_of_edge[e] : row[graph.neighbours[e]];
    }
  });
  const DeviceArray<int> on_device_sites(site, stream), on_device_starts(of_node, stream), on_device_order(sorted, stream);
  device_start_.upload(start_, stream);
  site_.resize(site.size()), id_.resize(site.size());
  sort_listed({n_local, node_.data(), on_device_starts.data(), on_device_sites.data(), sorted.empty() ? nullptr : on_device_order.data(),
               device_start_.data(), site_.data(), id_.data()}, stream);
  require(cudaStreamSynchronize(stream));    // the arrays end here
}

void DeviceList::find_leaving(cudaStream_t stream)
{
  const int n_listed = static_cast<int>(site_.size());
  DeviceArray<int> next(n_nodes + 1), unsorted(n_listed);
  leaving_start_.resize(n_nodes + 1), leaving_.resize(n_listed);
  leaving_start_.zero(stream);
  FindLeaving find = {n_nodes, n_listed, view(nullptr), leaving_start_.data(), nullptr, unsorted.data(), leaving_.data()};
  count_leaving(find, stream);
  add_up(n_nodes, leaving_start_.data(), stream);
  require(cudaMemcpyAsync(next.data(), leaving_start_.data(), next.size() * sizeof(int), cudaMemcpyDeviceToDevice, stream));
  find.next = next.data();
  place_leaving(find, stream);
  require(cudaStreamSynchronize(stream));    // the arrays end here
}

std::size_t DeviceList::n_bytes() const
{
  std::size_t n = bytes_of(node, row, element, start_, wanted_.rows, wanted_.place) + wanted_.on_device.bytes();
  for (const auto *array : {&device_start_, &id_, &site_, &row_of_site_, &site_of_row_, &node_, &element_, &leaving_start_, &leaving_}) n += array->bytes();
  return n;
}

void DeviceGraph::take(std::shared_ptr<const DeviceList> list, const AtomGraph &graph, double cutoff, bool lasting, cudaStream_t stream)
{
  list_ = std::move(list), lasting_ = lasting;
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
