// SPDX-License-Identifier: GPL-2.0-or-later
// What the engine is evaluated on, and the same sorted for the loops.
#ifndef LMP_UQ_ATOM_GRAPH_H
#define LMP_UQ_ATOM_GRAPH_H

#include "base/bytes.h"

#include <cstdint>
#include <string>
#include <vector>

namespace lmp_uq {

// Where atoms and their periodic images are, for a ListEngine: sites move, all else lasts for many steps, and has edges beyond the cutoff too.
struct NeighbourList {
  std::int64_t number = 0;         // a list of the same number as the one before differs in its positions alone; 0: there is none
  int n_sites = 0;
  const int *node_of_site = nullptr;    // (n_sites), -1: no edge ends there
  const int *site_of_node = nullptr;    // (n_nodes)
  const int *site_of_edge = nullptr;    // (n_edges) of the neighbour
  const double *positions = nullptr;    // (n_sites, 3) Angstrom
};

struct AtomGraph {
  int n_local, n_nodes;            // local atoms first, then ghosts
  const std::int64_t *species;     // (n_nodes) index into the model's elements
  std::int64_t n_edges;
  const std::int64_t *centres;     // (n_edges) local atom
  const std::int64_t *neighbours;  // (n_edges) node
  const double *vectors;           // (n_edges, 3) x_neighbour - x_centre, Angstrom; nullptr: between sites of a list
  NeighbourList list = {};
};

constexpr double COINCIDENT = 1e-6;    // Angstrom: below it a direction means nothing
double length_of(const AtomGraph &graph, std::int64_t e);
void check_ends(const AtomGraph &graph, std::int64_t e);                // std::runtime_error: an index outside its range
std::string bad_edge_text(const AtomGraph &graph, std::int64_t e);      // what is wrong with an edge of no length, or one that is not finite

// Rows: local atoms sorted by element, ghosts in their place behind them.
struct NodeRows {
  // n_threads: that sort. std::runtime_error: an index outside its range
  NodeRows(const AtomGraph &graph, int n_elements, int n_threads);

  int n_local, n_nodes;
  std::vector<int> node;                 // (n_nodes) node of each row
  std::vector<int> row;                  // (n_nodes) row of each node
  std::vector<int> element;              // (n_nodes) by row
};

// Centres of one element and their edges.
struct Batch {
  int first, last;                 // rows
  int element;
};

// Edges shorter than the cutoff sorted by the row of their centre.
class SortedGraph : public NodeRows {
 public:
  // n_threads: batches are made for so many
  // std::runtime_error: an index outside its range, a vector of no length or not finite (the pair of nodes is named)
  SortedGraph(const AtomGraph &graph, double cutoff, int n_elements, int n_threads);

  std::size_t n_bytes() const
  {
    std::size_t n = bytes_of(node, row, element, start, source, id, length, direction, batches, share, slot);
    for (const std::vector<int> &rows : touched) n += bytes_of(rows);
    return n;
  }

  std::int64_t n_graph_edges;            // those of the graph, longer ones included
  std::vector<int> start;                // (n_local+1) first edge of each row
  std::vector<int> source;               // (n_edges) row
  std::vector<std::int64_t> id;          // (n_edges) number in the graph
  std::vector<double> length;            // (n_edges) Angstrom
  std::vector<double> direction;         // (n_edges, 3)
  std::vector<Batch> batches;
  std::vector<int> share;                // (n_threads+1) first batch of each thread: about the same work for all

  // What a thread's edges bring to their sources goes to rows of its own. The first thread has one for each node; any other has one for
  // each row that its edges touch, rising.
  const int *slots() const { return slot.empty() ? source.data() : slot.data(); }    // (n_edges) row of the thread that has the edge
  int n_slots(int thread) const { return thread == 0 ? n_nodes : static_cast<int>(touched[thread].size()); }
  std::vector<int> slot;
  std::vector<std::vector<int>> touched; // (n_threads); of the first thread empty

 private:
  void sort_edges(const AtomGraph &graph, double cutoff, int n_threads);
  void cut_batches(int n_threads);
  void add_batch(int first, int end);
  void find_slots(int n_threads);
  void find_slots_of(int thread);
};

}    // namespace lmp_uq
#endif
