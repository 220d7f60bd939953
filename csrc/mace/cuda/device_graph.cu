// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cuda/device_graph.h"

namespace lmp_uq::cuda {

void DeviceGraph::take(std::unique_ptr<const SortedGraph> sorted, cudaStream_t stream)
{
  sorted_ = std::move(sorted);
  const SortedGraph &g = *sorted_;
  std::vector<int> centre(g.source.size()), leaving_start(g.n_nodes + 1, 0), leaving(g.source.size());
  for (int i = 0; i < g.n_local; ++i)
    for (int e = g.start[i]; e < g.start[i + 1]; ++e) centre[e] = i;
  for (const int source : g.source) ++leaving_start[source + 1];
  for (int j = 0; j < g.n_nodes; ++j) leaving_start[j + 1] += leaving_start[j];
  std::vector<int> next(leaving_start.begin(), leaving_start.end() - 1);
  for (std::size_t e = 0; e < g.source.size(); ++e) leaving[next[g.source[e]]++] = static_cast<int>(e);
  start_.upload(g.start, stream);
  centre_.upload(centre, stream);
  source_.upload(g.source, stream);
  element_.upload(g.element, stream);
  node_.upload(g.node, stream);
  leaving_start_.upload(leaving_start, stream);
  leaving_.upload(leaving, stream);
  id_.upload(g.id, stream);
  length_.upload(g.length, stream);
  direction_.upload(g.direction, stream);
}

}    // namespace lmp_uq::cuda
