// SPDX-License-Identifier: GPL-2.0-or-later
// The vectorised loops: what each needs and gives, and the table of them for the processor at hand.
//
// Features are (row, component, channel), the channel fastest and padded with zeros to a multiple of block<T>(). A kernel runs over
// channel blocks outside and rows or edges inside, so that what belongs to one block (a table of radial functions, polynomial
// coefficients) stays in the cache. Features that edges fetch from their sources, and the gradients that they bring there, are ordered by
// blocks for the same reason, (block, node, component, channel in block), and so are messages. All pointers are aligned to 64 bytes.
#ifndef LMP_UQ_KERNELS_H
#define LMP_UQ_KERNELS_H

#include "formulas/radial_polynomial.h"
#include "mace/passes.h"
#include "mace/polynomial.h"

#include <cstddef>

namespace lmp_uq {

// channels in 64 bytes
template <class T> constexpr int block() { return 64 / static_cast<int>(sizeof(T)); }

// Directed edges of a batch of centres, grouped by centre.
template <class T> struct EdgeBatch {
  int n_centres;
  const int *start;                // (n_centres+1) first edge of each centre
  const int *neighbour;            // (n_edges) row of the source's features
  const T *harmonics;              // (n_edges, 16)
  const T *const *row;             // (n_edges) radial polynomials of the first channel block: (path, n_coefficients, block)
  const std::size_t *stride;       // (n_edges) from one channel block to the next
  const T *t;                      // (n_edges) argument of the polynomials
};

// scale_i sum_j R_l(r_ij) Y_lm(u_ij): the first layer, where everything that depends on the elements is in the radial functions
template <class T> struct FirstForward {
  EdgeBatch<T> edges;
  int n_channels;
  const T *scale;                  // (n_centres): a centre's sums are multiplied by it
  T *out;                          // (n_centres, (l_max+1)^2, n_channels)
};

template <class T> struct FirstReverse {
  EdgeBatch<T> edges;
  int n_channels, n_sets;
  const T *gradient;               // of `out` above over scale: n_sets of them, set_stride apart
  std::size_t set_stride;
  double *edge_gradient;           // (n_edges, n_sets, 16): d/dt, then d/dY_1.. (Y_0 is constant), added to
};

// Sums over q of value[q] * in[index[q]] for each output o: start[o] <= q < start[o+1]
template <class T> struct SparseMap {
  int n_out;
  const int *start, *index;
  const T *value;
};

// M_(m,k) = scale_i sum_j R_k sum_ab c^k_abm x_j,a Y_b: products are summed over the neighbours first, the coupling comes after
template <class T> struct MessageForward {
  EdgeBatch<T> edges;
  int n_channels, n_nodes;
  const T *features;               // (block, n_nodes, (l_in+1)^2, channel in block)
  const T *scale;                  // (n_centres): a centre's messages are multiplied by it
  SparseMap<T> coupling;           // summed products -> messages, see Paths
  T *out;                          // (block, n_centres, n_message, channel in block)
};

template <class T> struct MessageReverse {
  EdgeBatch<T> edges;
  int n_channels, n_nodes, n_sets;
  const T *features;
  const int *slot;                 // (n_edges) row of the gradient of the source's features
  int n_slots;
  SparseMap<T> coupling;           // transposed: gradient of messages -> gradient of summed products
  const T *gradient;               // of `out` above over scale: n_sets of them, set_stride apart
  std::size_t set_stride;
  T *features_gradient;            // (block, n_slots, n_sets, (l_in+1)^2, channel in block), added to
  double *edge_gradient;           // as in FirstReverse
};

template <class T> struct ProductForward {
  Polynomial polynomial;
  int n_rows, n_channels;
  const T *coefficients;           // (n_channels/block, n_coefficients, block)
  const T *in;                     // (n_rows, n_in, n_channels)
  T *out;                          // (n_rows, n_out, n_channels)
};

template <class T> struct ProductReverse {
  Polynomial polynomial;
  int n_rows, n_channels, n_sets;
  const T *coefficients, *in;
  const T *gradient;               // n_sets of (n_rows, n_out, n_channels), set_stride apart
  std::size_t set_stride;
  T *in_gradient;                  // n_sets of (n_rows, n_in, n_channels), in_set_stride apart
  std::size_t in_set_stride;
  const T *scale;                  // (n_rows): in_gradient is multiplied by it
  double *overlap;                 // (n_sets, n_rows): sum of in * unscaled in_gradient, added to
};

// Rows of a matrix inside a feature array: row r starts at (r / inner) * outer_stride + (r % inner) * inner_stride. Its numbers lie in pieces,
// whole blocks, each piece_stride after the one before.
struct Rows {
  int inner;
  std::size_t outer_stride, inner_stride;
  int piece;
  std::size_t piece_stride;
};

// c = a b or c += a b; b is packed in panels of 4 blocks: (panel, depth, 4*block); columns are whole blocks
template <class T> struct Gemm {
  int n_rows, depth, n_columns;
  const T *a;
  Rows a_rows;
  const T *b;
  T *c;
  Rows c_rows;
  bool add;
};

template <class T> struct Kernels {
  const char *name;
  void (*first_forward)(const FirstForward<T> &);
  void (*first_reverse)(const FirstReverse<T> &);
  void (*message_forward)(const MessageForward<T> &);
  void (*message_reverse)(const MessageReverse<T> &);
  void (*product_forward)(const ProductForward<T> &);
  void (*product_reverse)(const ProductReverse<T> &);
  void (*gemm)(const Gemm<T> &);
};

// Those of the widest vectors that this processor has, for features of degrees 0..l_in and harmonics of degrees 0..l_max.
// LMP_UQ_SIMD in the environment (generic, avx2, avx512) asks for narrower ones; std::runtime_error for a word or a processor without.
template <class T> Kernels<T> kernels(int l_in, int l_max);

}    // namespace lmp_uq
#endif
