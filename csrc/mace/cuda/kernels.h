// SPDX-License-Identifier: GPL-2.0-or-later
// The kernels: what each needs and gives. One warp works on a block of 32 channels of one centre, atom or source, a lane on one channel.
//
// Features are (row, component, channel), the channel fastest and padded with zeros to whole blocks. All pointers are to device memory.
// Nothing is added by several warps to one number: the same input gives the same bits.
#ifndef LMP_UQ_CUDA_KERNELS_H
#define LMP_UQ_CUDA_KERNELS_H

#include "formulas/hd.h"
#include "formulas/radial_polynomial.h"
#include "formulas/readout.h"
#include "mace/cuda/device.h"
#include "mace/polynomial.h"
#include "mace/pull_weights.h"

#include <cstddef>
#include <cstdint>

namespace lmp_uq::cuda {

constexpr int LANES = 32;              // channels of a block
constexpr int WARPS = 4;               // of a thread block, where a kernel says nothing else

inline int padded(int n_channels) { return (n_channels + LANES - 1) / LANES * LANES; }

// Directed edges, sorted by centre; rows of nodes: local atoms, then ghosts.
struct Edges {
  const int *start;                    // (n_local+1) first edge of each centre
  const int *centre, *source;          // (n_edges) rows
  const int *element;                  // (n_nodes)
  const double *vector;                // (n_edges, 3) Angstrom
};

// The radial functions of a pair of elements. rows (interval, channel block, function, coefficient, LANES), nullptr: no table.
template <class T> struct PairTable {
  RadialSpans spans;
  std::size_t row_size;                // numbers of an interval
  const T *rows;
  const double *density;               // (interval, coefficient)
};

// Edges that no table covers have a row of their own, with t = 0 and dt/dr = 1.
template <class T> struct ExactRows {
  const int *of_edge;                  // (n_edges) which row, -1: none; nullptr: no edge has one
  const T *rows;                       // as an interval's
  const double *density;               // (n, 2) value and slope
};

// What the loops over edges need in one layer, of the edges first .. last: the index of an array below is e - first.
template <class T> struct EdgeFunctions {
  T *harmonics;                        // (n, 16)
  const T **row;                       // (n) of the first block of channels
  T *t;                                // (n) argument of the polynomials
  double *per_length;                  // (n) dt/dr, 1/Angstrom
  double *density, *density_slope;     // (n) and derivative, 1/Angstrom
};

template <class T> struct PrepareEdges {
  Edges edges;
  int first, last, last_centre, l_max, n_elements;    // last: edges end where those of last_centre-1 do, or here
  bool density;                        // does the layer divide by it? else it is 0
  std::size_t row_size;                // numbers of a row of its own
  const PairTable<T> *tables;          // (n_elements, n_elements): centre, source
  ExactRows<T> exact;
  EdgeFunctions<T> out;
};
template <class T> void prepare_edges(const PrepareEdges<T> &a, cudaStream_t stream);

// 1/(offset + slope * sum of a centre's densities), of the centres first_centre .. first_centre+n_centres
struct CentreNorms {
  const int *start;
  int first_centre, n_centres, first_edge;
  const double *density;               // nullptr: the sum is 0
  double offset, slope;
  double *norm;                        // by centre
};
void centre_norms(const CentreNorms &a, cudaStream_t stream);

// The centres of a chunk and their edges.
template <class T> struct EdgeBatch {
  const int *start, *source;           // of all centres and edges
  int first_centre, n_centres, first_edge, n_edges;
  int n_blocks;                        // of channels
  const T *harmonics;
  const T *const *row;
  const T *t;
};

// Sums over q of value[q] * in[index[q]] for each output o: start[o] <= q < start[o+1]
template <class T> struct SparseMap {
  const int *start, *index;
  const T *value;
};

// scale_i sum_j R_l(r_ij) Y_lm(u_ij)
template <class T> struct FirstForward {
  EdgeBatch<T> edges;
  const int *exact;                    // not nullptr: only of edges for which it is not below 0, added to `out`; see ExactRows
  const double *norm;                  // of all centres: what a centre's sums are multiplied by
  T *out;                              // (n_centres, (l_max+1)^2, channel)
};
template <class T> void first_forward(const FirstForward<T> &a, int l_max, cudaStream_t stream);

template <class T> struct FirstReverse {
  EdgeBatch<T> edges;
  const int *exact;                    // as in FirstForward
  int n_sets;
  const T *gradient;                   // (set, n_centres, (l_max+1)^2, channel): of `out` above over norm
  T *edge_sums;                        // (set, n_edges, block, 16): d/dt, then d/dY_1.. (Y_0 is constant)
};
template <class T> void first_reverse(const FirstReverse<T> &a, int l_max, cudaStream_t stream);

// M_(m,k) = scale_i sum_j R_k sum_ab c^k_abm x_j,a Y_b: products are summed over the neighbours first, the coupling comes after
template <class T> struct MessageForward {
  EdgeBatch<T> edges;
  const T *features;                   // (n_nodes, (l_in+1)^2, channel)
  const double *norm;
  SparseMap<T> coupling;               // summed products -> messages, see Paths
  T *out;                              // (n_centres, n_message, channel)
};
template <class T> void message_forward(const MessageForward<T> &a, int l_in, int l_max, cudaStream_t stream);

template <class T> struct MessageReverse {
  EdgeBatch<T> edges;
  int n_sets;
  const T *features;
  SparseMap<T> coupling;               // transposed
  const T *gradient;                   // (set, n_centres, n_message, channel): of `out` above over norm
  T *edge_features;                    // (set, n_edges, (l_in+1)^2, channel): gradient of the source's features by this edge
  T *edge_sums;                        // as in FirstReverse
};
template <class T> void message_reverse(const MessageReverse<T> &a, int l_in, int l_max, cudaStream_t stream);

// The gradient of a node's features: the sum over the edges that leave it, in the order of the list.
template <class T> struct GatherSources {
  int n_nodes, n_sets, n_blocks;
  int first_edge, n_edges;             // of the chunk
  const int *start, *listed;           // (n_nodes+1), (n_listed): by source, numbers in the list rising
  const int *edge_of;                  // (n_listed) edge or -1
  int first_listed, last_listed;       // of the chunk
  const T *edge_features;              // (set, n_edges, component, channel)
  bool add;                            // else the sum is set
  T *out;                              // (set, n_nodes, component, channel)
};
template <class T> void gather_sources(const GatherSources<T> &a, int l_in, cudaStream_t stream);

// From an edge's sums to the gradient of its vector, added to.
template <class T> struct EdgeGradients {
  Edges edges;
  int first, n_edges, last_centre, n_sets, n_blocks, l_max;    // n_edges: as `last` above
  std::size_t n_all_edges, n_local;
  const double *per_length, *density_slope;
  const T *edge_sums;
  const double *norm;                  // (n_local)
  const double *overlap;               // (set, n_local): of a centre's sums with their gradient
  double *gradient;                    // (set, n_all_edges, 3)
};
template <class T> void edge_gradients(const EdgeGradients<T> &a, cudaStream_t stream);

struct RepulsionEnergies {
  Edges edges;
  int n_local, n_elements;
  const Repulsion *pairs;              // (n_elements, n_elements)
  double scale;
  double *energy;                      // (n_local), added to
};
void repulsion_energies(const RepulsionEnergies &a, cudaStream_t stream);

struct RepulsionGradients {
  Edges edges;
  int n_local, n_elements, n_sets;
  std::size_t n_edges;
  const Repulsion *pairs;
  double scale;
  const int *node;                     // (n_local) of each row
  const double *weights;               // (set, n_local) by node
  double *gradient;                    // (set, n_edges, 3), added to
};
void repulsion_gradients(const RepulsionGradients &a, cudaStream_t stream);

// ---- atoms

// Rows of a matrix inside a feature array: row r starts at (r / inner) * outer_stride + (r % inner) * inner_stride.
struct Rows {
  int inner;
  std::size_t outer_stride, inner_stride;
};

// c = a b or c += a b; b (depth, n_columns) row-major. Rows begin at multiples of 16 bytes; depth and n_columns are multiples of 4.
template <class T> struct Gemm {
  int n_rows, depth, n_columns;
  const T *a;
  Rows a_rows;
  const T *b;
  T *c;
  Rows c_rows;
  bool add;
  bool tf32 = false;                   // float32: on tensor cores, each product as three of TF32
};
template <class T> void gemm(const Gemm<T> &a, cudaStream_t stream);

template <class T> struct ProductForward {
  Polynomial polynomial;
  int n_rows, n_blocks;
  const int *element;                  // (n_rows)
  const T *const *coefficients;        // of each element: (block, n_coefficients, LANES)
  const T *in;                         // (n_rows, n_in, channel)
  T *out;                              // (n_rows, n_out, channel)
};
template <class T> void product_forward(const ProductForward<T> &a, cudaStream_t stream);

template <class T> struct ProductReverse {
  Polynomial polynomial;
  int n_rows, n_blocks, n_sets;
  const int *element;
  const T *const *coefficients;
  const T *in;
  const T *gradient;                   // (set, n_rows, n_out, channel)
  T *in_gradient;                      // (set, n_rows, n_in, channel)
  const double *scale;                 // (n_rows): in_gradient is multiplied by it; nullptr: 1
  double *overlap;                     // (set, n_rows, block): sum over channels of in * unscaled in_gradient
};
template <class T> void product_reverse(const ProductReverse<T> &a, cudaStream_t stream);

// out[set * set_stride + row] = sum over blocks of parts (set, n_rows, block)
struct AddBlocks {
  int n_rows, n_sets, n_blocks;
  const double *parts;
  double *out;
  std::size_t set_stride;
};
void add_blocks(const AddBlocks &a, cudaStream_t stream);

// Copies or adds the first n numbers of each row.
template <class T> struct CopyRows {
  std::size_t n_rows, n, from_stride, to_stride;
  const T *from;
  T *to;
  bool add;
};
template <class T> void copy_rows(const CopyRows<T> &a, cudaStream_t stream);

// packed (set, n_rows, size) from or to these rows of `all`
template <class T> struct SomeRows {
  int n_rows, n_sets;
  std::size_t size, set_stride;
  const int *rows;
  T *all, *packed;
};
template <class T> void fetch_rows(const SomeRows<T> &a, cudaStream_t stream);
template <class T> void add_rows(const SomeRows<T> &a, cudaStream_t stream);

// features (n_rows, n_components, channel): component `component` += the element's constant number `part`
template <class T> struct AddConstants {
  int n_rows, n_components, component, n_channels, part;
  const int *element;
  const T *const *constant;            // of each element: (part, channel)
  T *features;
};
template <class T> void add_constants(const AddConstants<T> &a, cudaStream_t stream);

// The readout of a layer. All in float64.
struct ReadoutWeights {
  int kind;                            // Readout of the layer
  const double *linear;                // (n_channels)
  GatedReadout gated;
  TwiceGatedReadout biased;
};

template <class T> struct ReadOut {
  ReadoutWeights weights;
  int n_rows, n_channels;
  std::size_t stride;                  // from one row's scalars to the next's
  const T *scalars;
  double scale;
  double *work;                        // (n_rows, 2 n_gate)
  double *energy;                      // (n_rows), added to
};
template <class T> void read_out(const ReadOut<T> &a, cudaStream_t stream);

// features_gradient (set, n_rows, n_components, channel): scalars += weight of the energy * its slope + weights of the descriptors
template <class T> struct ReadOutGradient {
  ReadoutWeights weights;
  int n_rows, n_sets, n_channels, n_features, column, n_local;    // column: where the layer's descriptors begin
  const T *scalars;                    // its descriptors, from a row to the next n_features numbers
  const int *node;
  double scale;
  double *work, *slope;                // (n_rows, 2 n_gate), (n_rows, n_channels)
  lmp_uq_pull_weights weights_of;      // of atoms by node
  std::size_t row_size;                // numbers of a row of the gradient
  T *gradient;
};
template <class T> void read_out_gradient(const ReadOutGradient<T> &a, cudaStream_t stream);

// ---- atoms of nonlinear layers

// gate(p): silu of scalars, sigmoid of its gate times each feature of higher degree; p (n_rows, (l_max+1)^2 + l_max, channel)
struct GateConstants {
  int l_max;
  double silu, sigmoid;
};

template <class T> struct CloseGate {
  GateConstants constants;
  int n_rows, n_channels;
  const T *in;
  T *out;                              // (n_rows, (l_max+1)^2, channel)
};
template <class T> void close_gate(const CloseGate<T> &a, cudaStream_t stream);

template <class T> struct OpenGate {
  GateConstants constants;
  int n_rows, n_sets, n_channels;
  const T *in;                         // p
  const T *gradient;                   // (set, n_rows, (l_max+1)^2, channel) of gate(p)
  T *out;                              // (set, n_rows, (l_max+1)^2 + l_max, channel) of p
};
template <class T> void open_gate(const OpenGate<T> &a, cudaStream_t stream);

// overlap[set * set_stride + row] (+)= factor * sum of a (row) times b (set, row), rows of `size` numbers
template <class T> struct RowOverlap {
  int n_rows, n_sets;
  std::size_t size, set_stride;
  double factor;
  bool add;
  const T *a, *b;
  double *overlap;
};
template <class T> void row_overlap(const RowOverlap<T> &a, cudaStream_t stream);

// less the same with an element's constants (part, channel) in place of a: part 0 meets the scalars of b, part l the gates of degree l
template <class T> struct ConstantOverlap {
  int n_rows, n_sets, n_components, n_channels, l_max;
  std::size_t set_stride;
  const int *element;
  const T *const *constant;
  const T *gradient;                   // (set, n_rows, n_components, channel)
  double *overlap;
};
template <class T> void constant_overlap(const ConstantOverlap<T> &a, cudaStream_t stream);

// rows (set, n_rows, size) times scale (n_rows); overlap times factor
template <class T> struct ScaleRows {
  int n_rows, n_sets;
  std::size_t size, set_stride;
  const double *scale;
  double factor;
  T *rows;
  double *overlap;
};
template <class T> void scale_rows(const ScaleRows<T> &a, cudaStream_t stream);

}    // namespace lmp_uq::cuda
#endif
