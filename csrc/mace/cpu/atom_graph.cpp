// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cpu/atom_graph.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace lmp_uq {

namespace {

constexpr double COINCIDENT = 1e-6;              // Angstrom: below it a direction means nothing
constexpr int BATCH_CENTRES = 64;                // their messages and edges stay in a core's cache
constexpr int LEAST_CENTRES = 8;                 // of a batch that is made small to give every thread one
constexpr int BATCH_EDGES = 8192;
constexpr int EDGES_PER_CENTRE = 30;             // edges that take as long as the matrix products of a centre

void check_index(std::int64_t value, std::int64_t limit, const char *what)
{
  if (value >= 0 && value < limit) return;
  throw std::runtime_error("graph: " + std::string(what) + " holds " + std::to_string(value) + "; accepted: 0 to " +
                           std::to_string(limit - 1));
}

}    // namespace

SortedGraph::SortedGraph(const AtomGraph &graph, double cutoff, int n_elements, int n_threads)
    : n_local(graph.n_local), n_nodes(graph.n_nodes), n_graph_edges(graph.n_edges)
{
  if (n_local < 0 || n_local > n_nodes) check_index(n_local, static_cast<std::int64_t>(n_nodes) + 1, "n_local");
  if (n_graph_edges > std::numeric_limits<int>::max()) throw std::runtime_error("graph: more than 2^31 edges on one rank");
  sort_nodes(graph, n_elements);
  sort_edges(graph, cutoff);
  cut_batches(n_threads);
  share_batches(n_threads);
}

void SortedGraph::sort_nodes(const AtomGraph &graph, int n_elements)
{
  std::vector<int> next(n_elements + 1, 0);
  for (int k = 0; k < n_nodes; ++k) check_index(graph.species[k], n_elements, "species");
  for (int k = 0; k < n_local; ++k) ++next[graph.species[k] + 1];
  for (int z = 0; z < n_elements; ++z) next[z + 1] += next[z];
  node.resize(n_nodes);
  row.resize(n_nodes);
  element.resize(n_nodes);
  for (int k = 0; k < n_nodes; ++k) {
    row[k] = k < n_local ? next[graph.species[k]]++ : k;
    node[row[k]] = k;
    element[row[k]] = static_cast<int>(graph.species[k]);
  }
}

void SortedGraph::sort_edges(const AtomGraph &graph, double cutoff)
{
  std::vector<double> lengths(graph.n_edges);
  start.assign(n_local + 1, 0);
  for (std::int64_t e = 0; e < graph.n_edges; ++e) {
    check_index(graph.centres[e], n_local, "centres");
    check_index(graph.neighbours[e], n_nodes, "neighbours");
    const double *v = graph.vectors + 3 * e;
    lengths[e] = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    if (!(lengths[e] >= COINCIDENT && lengths[e] <= std::numeric_limits<double>::max()))
      throw std::runtime_error("graph: the edge of atoms " + std::to_string(graph.centres[e]) + " and " +
                               std::to_string(graph.neighbours[e]) + " has length " + std::to_string(lengths[e]) +
                               " Angstrom; accepted: finite and above 1e-6");
    if (lengths[e] < cutoff) ++start[row[graph.centres[e]] + 1];
  }
  for (int k = 0; k < n_local; ++k) start[k + 1] += start[k];
  std::vector<int> next(start.begin(), start.end() - 1);
  const std::size_t n = start[n_local];
  source.resize(n);
  id.resize(n);
  length.resize(n);
  direction.resize(3 * n);
  for (std::int64_t e = 0; e < graph.n_edges; ++e) {
    if (!(lengths[e] < cutoff)) continue;
    const std::size_t k = next[row[graph.centres[e]]]++;
    source[k] = row[graph.neighbours[e]];
    id[k] = e;
    length[k] = lengths[e];
    for (int x = 0; x < 3; ++x) direction[3 * k + x] = graph.vectors[3 * e + x] / lengths[e];
  }
}

void SortedGraph::cut_batches(int n_threads)
{
  const int most = std::clamp((n_local + n_threads - 1) / n_threads, LEAST_CENTRES, BATCH_CENTRES);
  for (int first = 0; first < n_local;) {
    int last = first + 1;
    while (last < n_local && element[last] == element[first] && last - first < most &&
           start[last + 1] - start[first] <= BATCH_EDGES)
      ++last;
    batches.push_back({first, last, element[first]});
    first = last;
  }
}

void SortedGraph::share_batches(int n_threads)
{
  const auto work_before = [&](int row) { return start[row] + static_cast<double>(EDGES_PER_CENTRE) * row; };
  share.assign(n_threads + 1, static_cast<int>(batches.size()));
  share[0] = 0;
  std::size_t b = 0;
  for (int thread = 1; thread < n_threads; ++thread) {
    const double before = work_before(n_local) * thread / n_threads;
    while (b < batches.size() && 0.5 * (work_before(batches[b].first) + work_before(batches[b].last)) < before) ++b;
    share[thread] = static_cast<int>(b);
  }
}

}    // namespace lmp_uq
