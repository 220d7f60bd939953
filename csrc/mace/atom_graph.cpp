// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/atom_graph.h"

#include "base/threads.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace lmp_uq {

namespace {

constexpr int BATCH_CENTRES = 64;                // their messages and edges stay in a core's cache
constexpr int LEAST_CENTRES = 8;                 // of a thread: with fewer, some have nothing to do
constexpr int BATCH_EDGES = 8192;
constexpr int EDGES_PER_CENTRE = 30;             // edges that take as long as the matrix products of a centre

void check_index(std::int64_t value, std::int64_t limit, const char *what)
{
  if (value >= 0 && value < limit) return;
  throw std::runtime_error("graph: " + std::string(what) + " holds " + std::to_string(value) + "; accepted: 0 to " +
                           std::to_string(limit - 1));
}

// Things sorted by kind, each part of them by a thread, in the order that one thread would give. place: (n_parts, n_kinds) how many of each
// kind a part has, afterwards where they go; start: (n_kinds+1) where each kind does.
void find_places(int n_parts, int n_kinds, std::vector<int> &place, std::vector<int> &start)
{
  start.assign(n_kinds + 1, 0);
  const auto of = [&](int part, std::int64_t kind) -> int & { return place[static_cast<std::size_t>(part) * n_kinds + kind]; };
  over_rows(n_parts, n_kinds, [&](std::int64_t first, std::int64_t last) {
    for (int part = 0; part < n_parts; ++part)
      for (std::int64_t k = first; k < last; ++k) start[k + 1] += of(part, k);
  });
  for (int k = 0; k < n_kinds; ++k) start[k + 1] += start[k];
  over_rows(n_parts, n_kinds, [&](std::int64_t first, std::int64_t last) {
    std::vector<int> next(start.begin() + first, start.begin() + last);
    for (int part = 0; part < n_parts; ++part)
      for (std::int64_t k = first; k < last; ++k) {
        const int n = of(part, k);
        of(part, k) = next[k - first];
        next[k - first] += n;
      }
  });
}

// f(part, first, last) on n things in n_parts ranges
template <class F> void over_parts(int n_parts, std::int64_t n, const F &f)
{
  in_parallel(n_parts, [&](int part) { f(part, n * part / n_parts, n * (part + 1) / n_parts); });
}

}    // namespace

double length_of(const AtomGraph &graph, std::int64_t e)
{
  double v[3];
  const NeighbourList &list = graph.list;
  const auto at = [&](std::int64_t site, int x) { return list.positions[3 * site + x]; };
  for (int x = 0; x < 3; ++x) v[x] = graph.vectors ? graph.vectors[3 * e + x] : at(list.site_of_edge[e], x) - at(list.site_of_node[graph.centres[e]], x);
  return std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
}

void check_ends(const AtomGraph &graph, std::int64_t e)
{
  check_index(graph.centres[e], graph.n_local, "centres");
  check_index(graph.neighbours[e], graph.n_nodes, "neighbours");
}

std::string bad_edge_text(const AtomGraph &graph, std::int64_t e)
{
  return "graph: the edge of atoms " + std::to_string(graph.centres[e]) + " and " + std::to_string(graph.neighbours[e]) + " has length " +
      std::to_string(length_of(graph, e)) + " Angstrom; accepted: finite and above 1e-6";
}

SortedGraph::SortedGraph(const AtomGraph &graph, double cutoff, int n_elements, int n_threads)
    : NodeRows(graph, n_elements, n_threads), n_graph_edges(graph.n_edges)
{
  sort_edges(graph, cutoff, n_threads);
  cut_batches(n_threads);
  find_slots(n_threads);
}

NodeRows::NodeRows(const AtomGraph &graph, int n_elements, int n_threads) : n_local(graph.n_local), n_nodes(graph.n_nodes)
{
  if (n_local < 0 || n_local > n_nodes) check_index(n_local, static_cast<std::int64_t>(n_nodes) + 1, "n_local");
  if (graph.n_edges > std::numeric_limits<int>::max()) throw std::runtime_error("graph: more than 2^31 edges on one rank");
  std::vector<int> place(static_cast<std::size_t>(n_threads) * n_elements, 0), of_element;
  over_rows(n_threads, n_nodes, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t k = first; k < last; ++k) check_index(graph.species[k], n_elements, "species");
  });
  over_parts(n_threads, n_local, [&](int part, std::int64_t first, std::int64_t last) {
    for (std::int64_t k = first; k < last; ++k) ++place[static_cast<std::size_t>(part) * n_elements + graph.species[k]];
  });
  find_places(n_threads, n_elements, place, of_element);
  node.resize(n_nodes);
  row.resize(n_nodes);
  element.resize(n_nodes);
  const auto put = [&](std::int64_t k, int to) {
    row[k] = to;
    node[to] = static_cast<int>(k);
    element[to] = static_cast<int>(graph.species[k]);
  };
  over_parts(n_threads, n_local, [&](int part, std::int64_t first, std::int64_t last) {
    for (std::int64_t k = first; k < last; ++k) put(k, place[static_cast<std::size_t>(part) * n_elements + graph.species[k]]++);
  });
  over_rows(n_threads, n_nodes - n_local, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t k = n_local + first; k < n_local + last; ++k) put(k, static_cast<int>(k));
  });
}

void SortedGraph::sort_edges(const AtomGraph &graph, double cutoff, int n_threads)
{
  std::vector<int> place(static_cast<std::size_t>(n_threads) * n_local);
  const auto of_part = [&](int part) { return place.data() + static_cast<std::size_t>(part) * n_local; };
  over_parts(n_threads, n_graph_edges, [&](int part, std::int64_t first, std::int64_t last) {
    int *count = of_part(part);
    for (std::int64_t e = first; e < last; ++e) {
      const double length = length_of(graph, e);
      check_ends(graph, e);
      if (!(length >= COINCIDENT && length <= std::numeric_limits<double>::max())) throw std::runtime_error(bad_edge_text(graph, e));
      if (length < cutoff) ++count[row[graph.centres[e]]];
    }
  });
  find_places(n_threads, n_local, place, start);
  const std::size_t n = start[n_local];
  source.resize(n);
  id.resize(n);
  length.resize(n);
  direction.resize(3 * n);
  over_parts(n_threads, n_graph_edges, [&](int part, std::int64_t first, std::int64_t last) {
    int *next = of_part(part);
    for (std::int64_t e = first; e < last; ++e) {
      const double r = length_of(graph, e);
      if (!(r < cutoff)) continue;
      const std::size_t k = next[row[graph.centres[e]]]++;
      source[k] = row[graph.neighbours[e]];
      id[k] = e;
      length[k] = r;
      for (int x = 0; x < 3; ++x) direction[3 * k + x] = graph.vectors[3 * e + x] / r;
    }
  });
}

// Each thread has consecutive rows with the same part of the work, in batches of about the same size.
void SortedGraph::cut_batches(int n_threads)
{
  const auto work_before = [&](int row) { return start[row] + static_cast<double>(EDGES_PER_CENTRE) * row; };
  const int n_parts = std::clamp(n_local / LEAST_CENTRES, 1, n_threads);
  share.assign(1, 0);
  for (int part = 1, first = 0; part <= n_threads; ++part) {
    int end = first;
    while (end < n_local && (part >= n_parts || work_before(end) * n_parts < work_before(n_local) * part)) ++end;
    for (; first < end; first = batches.back().last) add_batch(first, end);
    share.push_back(static_cast<int>(batches.size()));
  }
}

// the first of the batches that the rows first..end-1 of one element make
void SortedGraph::add_batch(int first, int end)
{
  const int same = static_cast<int>(std::upper_bound(element.begin() + first, element.begin() + end, element[first]) - element.begin());
  const int n_batches = (same - first + BATCH_CENTRES - 1) / BATCH_CENTRES, most = (same - first + n_batches - 1) / n_batches;
  int last = first + 1;
  while (last < same && last - first < most && start[last + 1] - start[first] <= BATCH_EDGES) ++last;
  batches.push_back({first, last, element[first]});
}

void SortedGraph::find_slots(int n_threads)
{
  touched.resize(n_threads);
  if (n_threads == 1) return;
  slot.resize(source.size());
  in_parallel(n_threads, [&](int thread) { find_slots_of(thread); });
}

void SortedGraph::find_slots_of(int thread)
{
  const auto first_row = [&](int b) { return b < static_cast<int>(batches.size()) ? batches[b].first : n_local; };
  const int first = start[first_row(share[thread])], last = start[first_row(share[thread + 1])];
  if (thread == 0) {
    std::copy(source.begin() + first, source.begin() + last, slot.begin() + first);
    return;
  }
  std::vector<int> number(n_nodes, -1);
  for (int e = first; e < last; ++e) number[source[e]] = 0;
  for (int k = 0; k < n_nodes; ++k)
    if (number[k] == 0) {
      number[k] = static_cast<int>(touched[thread].size());
      touched[thread].push_back(k);
    }
  for (int e = first; e < last; ++e) slot[e] = number[source[e]];
}

}    // namespace lmp_uq
