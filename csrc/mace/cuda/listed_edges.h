// SPDX-License-Identifier: GPL-2.0-or-later
// The kernels between a neighbour list and the edges of a step, and from gradients of these to forces.
#ifndef LMP_UQ_CUDA_LISTED_EDGES_H
#define LMP_UQ_CUDA_LISTED_EDGES_H

#include "mace/cuda/kernels.h"

namespace lmp_uq::cuda {

// Sorted by the row of their centre, also those beyond the cutoff.
struct ListedEdges {
  const int *start;                    // (n_local+1)
  const int *id;                       // (n_listed) number in the graph
  const int *site;                     // (n_listed) of the source, see NeighbourList; without sites its row
  const int *row_of_site;              // (n_sites), or nullptr: there are no sites
  const int *site_of_row;              // (n_local)
  const double *moving;                // (n_sites, 3) positions; without sites (n_listed, 3) vectors by number in the graph
};

// From the order of the centres' nodes to that of their rows.
struct SortListed {
  int n_local;
  const int *node;                     // (n_local) of each row
  const int *of_node;                  // (n_local+1) first edge of each node
  const int *site;                     // (n_listed) by node of the centre
  const int *order;                    // (n_listed) number in the graph of each, nullptr: its own
  const int *start;                    // (n_local+1) by row
  int *sorted_site, *id;               // (n_listed) by row
};
void sort_listed(const SortListed &a, cudaStream_t stream);

// The listed edges that leave each node, numbers rising.
struct FindLeaving {
  int n_nodes, n_listed;
  ListedEdges listed;
  int *start;                          // (n_nodes+1): 0, from count_leaving numbers of edges, afterwards added up
  int *next;                           // (n_nodes+1): as start, for place_leaving to count on
  int *unsorted, *leaving;             // (n_listed)
};
void count_leaving(const FindLeaving &a, cudaStream_t stream);
void place_leaving(const FindLeaving &a, cudaStream_t stream);

constexpr int NO_EDGE = 0x7f7f7f7f;    // four times the byte that memory is set to

// The edges within the cutoff, in the order of the list.
struct FindEdges {
  ListedEdges listed;
  int n_local;
  double cutoff;
  int *start;                          // (n_local+1): numbers of edges from count_edges, afterwards added up
  int *bad;                            // the smallest number in the graph of an edge whose length is 0 or not finite, else as it was
  int *edge_of;                        // (n_listed) its number among the edges, -1 beyond the cutoff
  int *centre, *source;                // (n_edges)
  double *vector;                      // (n_edges, 3)
};
void count_edges(const FindEdges &a, cudaStream_t stream);
void fill_edges(const FindEdges &a, cudaStream_t stream);

// values[k] becomes the sum of values[0..k-1]; values (n+1)
void add_up(int n, int *values, cudaStream_t stream);

// Edges that no table covers, in any order.
struct Uncovered {
  int edge, centre, source;            // elements of its ends
  double length;                       // Angstrom
};
template <class T> struct FindUncovered {
  Edges edges;
  int n_edges, n_elements;
  const PairTable<T> *tables;
  int *n;                              // 0 before
  Uncovered *out;                      // nullptr: they are counted alone
};
template <class T> void find_uncovered(const FindUncovered<T> &a, cudaStream_t stream);

// The gradients of all listed edges, by their number in the graph; 0 beyond the cutoff.
struct ListGradients {
  int n_listed, n_sets, room;          // room: edges of a set of gradients
  const int *id, *edge_of;             // (n_listed)
  const double *gradient;              // (set, room, 3)
  double *out;                         // (set, n_listed, 3)
};
void list_gradients(const ListGradients &a, cudaStream_t stream);

// Less the gradients of the nodes' positions: of the edges that leave a node less those that end there; no atomics.
struct NodeForces {
  int n_local, n_nodes, n_sets, room;
  const int *start;                    // (n_local+1)
  const int *leaving_start, *leaving;  // (n_nodes+1), numbers in the list by source
  const int *edge_of;
  const int *node;
  const double *vector, *gradient;     // (n_edges, 3), (set, room, 3)
  double *forces;                      // (set, n_nodes, 3) by node
  double *virials;                     // (set, n_local, 6): -r (x) gradient of a centre's edges, symmetrised, xx yy zz xy xz yz
};
void node_forces(const NodeForces &a, cudaStream_t stream);

// out (n_sets, n_columns): sums of columns of rows (set, n_rows, n_columns)
struct ColumnSums {
  int n_rows, n_sets, n_columns;
  const double *rows;
  double *out;
};
void column_sums(const ColumnSums &a, cudaStream_t stream);

}    // namespace lmp_uq::cuda
#endif
