// SPDX-License-Identifier: GPL-2.0-or-later
// The paths of a message in groups whose sums fit into a thread's registers. Each group is a pass over the edges of a centre.
#ifndef LMP_UQ_CUDA_MESSAGE_PATHS_H
#define LMP_UQ_CUDA_MESSAGE_PATHS_H

#include "mace/cuda/edge_loop.h"

namespace lmp_uq::cuda {

// Sums of a group at most. Features of degree 1 with harmonics of degree 3 have 88 of them; in float64, their gradients leave no registers for
// the rest.
template <class T> LMP_UQ_HD constexpr int most_sums() { return 96; }
template <class T> LMP_UQ_HD constexpr int most_gradients() { return sizeof(T) == 8 ? 64 : 96; }

LMP_UQ_HD constexpr int n_products(const Paths &p, int path) { return (2 * p.l1[path] + 1) * (2 * p.l2[path] + 1); }

LMP_UQ_HD constexpr int end_of_group(const Paths &p, int first, int most)
{
  int path = first + 1, n = n_products(p, first);
  while (path < p.n && n + n_products(p, path) <= most) n += n_products(p, path++);
  return path;
}

// The paths FIRST .. last, with MOST sums at most, of features of degrees 0..L and harmonics of degrees 0..M; their sums begin at `at` among those of all paths.
template <int L, int M, int MOST, int FIRST> struct Group {
  static constexpr Paths paths = make_paths(L, M);
  static constexpr int last = end_of_group(paths, FIRST, MOST), at = paths.outer[FIRST];
  static constexpr int n = (last < paths.n ? paths.outer[last] : paths.n_outer) - at;
  static constexpr bool is_last = last == paths.n;
};

template <int L, int M, int MOST, int FIRST = 0> LMP_UQ_HD constexpr int largest_group()
{
  using G = Group<L, M, MOST, FIRST>;
  if constexpr (G::is_last) return G::n;
  else return G::n > largest_group<L, M, MOST, G::last>() ? G::n : largest_group<L, M, MOST, G::last>();
}

// ---- numbers of shared memory that a warp of the transpose needs: first a group's gradients, then the tile of lane_sums

template <class T, int L, int M> LMP_UQ_HD constexpr int reverse_shared()
{
  constexpr int n = largest_group<L, M, most_gradients<T>()>() * LANES;
  return n > SUM_TILE ? n : SUM_TILE;
}

// What stacked sets have in common of an edge: features of its source, a group's radial functions and their derivatives, harmonics.
template <class T, int L, int M, int FIRST> struct SharedEdge {
  T x[(L + 1) * (L + 1)][LANES], functions[Group<L, M, most_gradients<T>(), FIRST>::last - FIRST][2][LANES], y[MAX_HARMONICS];
};
constexpr int EDGES_OF_WARP = 2;    // that each of the sets' warps prepares between two barriers

template <class T, int L, int M, int FIRST = 0> LMP_UQ_HD constexpr int stacked_shared()
{
  using G = Group<L, M, most_gradients<T>(), FIRST>;
  constexpr int edges = SUM_TILE + EDGES_OF_WARP * sizeof(SharedEdge<T, L, M, FIRST>) / sizeof(T), n = edges > G::n * LANES ? edges : G::n * LANES;
  if constexpr (G::is_last) return n;
  else return n > stacked_shared<T, L, M, G::last>() ? n : stacked_shared<T, L, M, G::last>();
}

// a lane's place among the messages of a centre: (component, path) `message`, then channels
template <class T> __device__ inline std::size_t message_at(const EdgeBatch<T> &edges, std::size_t row, int n_messages, int message, const Share &me)
{
  return ((row * n_messages + message) * edges.n_blocks + me.block) * LANES + me.lane;
}

}    // namespace lmp_uq::cuda
#endif
