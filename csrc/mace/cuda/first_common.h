// SPDX-License-Identifier: GPL-2.0-or-later
// Kernels of the first layer by common functions, R_lc(r) = sum_q S_q(r) T_qlc for each pair of elements (see CommonFunctions):
// N_sq,lm = sum_j S_q(r_ij) Y_lm(u_ij) over the neighbours j of each element s, and A_lm,c = scale_i sum_sq N_sq,lm T_sqlc
#ifndef LMP_UQ_CUDA_FIRST_COMMON_H
#define LMP_UQ_CUDA_FIRST_COMMON_H

#include "mace/cuda/kernels.h"

namespace lmp_uq::cuda {

constexpr int MOST_SPECIES = 16;
struct Species {
  int n, element[MOST_SPECIES];        // that nodes of a graph have, rising
};

template <class T> struct CommonPair {
  int n;                               // functions, filled up to fours
  const T *rows;                       // (interval, block of functions, coefficient, LANES)
  const T *columns, *transposed;       // T (l, padded(n), channel) and (l, channel, padded(n))
};

// A chunk's edges, of which `row` is that of the common functions, and n_blocks theirs, of the pair that has the most.
template <class T> struct CommonEdges {
  EdgeBatch<T> batch;
  const int *element;                  // (n_nodes)
  const int *exact;                    // see ExactRows: such edges are passed over
  int n_elements;
  const CommonPair<T> *pairs;          // (n_elements, n_elements): centre, source
  Species species;
};

template <class T> struct CommonForward {
  CommonEdges<T> edges;
  T *out;                              // N (n_centres, (l_max+1)^2, species, function)
};
template <class T> void common_forward(const CommonForward<T> &a, int l_max, cudaStream_t stream);

template <class T> struct CommonReverse {
  CommonEdges<T> edges;
  int n_sets;
  const T *gradient;                   // (set, n_centres, (l_max+1)^2, species, function): of N
  T *edge_sums;                        // as in FirstReverse, of which only the first block is written
  int n_parts;                         // blocks there
};
template <class T> void common_reverse(const CommonReverse<T> &a, int l_max, cudaStream_t stream);

// N to A, or back: the gradient of A to that of N
template <class T> struct CommonMix {
  bool back;
  int n_rows, n_centres;               // (set, centre)
  int n_channels, n_functions;         // of each row and component: padded, functions of all species
  int n_elements;
  const int *element;                  // (n_centres)
  const double *norm;                  // (n_centres): what is written is multiplied by it; nullptr: 1
  const CommonPair<T> *pairs;
  Species species;
  const T *in;
  T *out;
};
template <class T> void common_mix(const CommonMix<T> &a, int l_max, cudaStream_t stream);

}    // namespace lmp_uq::cuda
#endif
