// SPDX-License-Identifier: GPL-2.0-or-later
// The paths of a message in groups whose sums fit into a thread's registers. Each group is a pass over the edges of a centre.
#ifndef LMP_UQ_CUDA_MESSAGE_PATHS_H
#define LMP_UQ_CUDA_MESSAGE_PATHS_H

#include "mace/cuda/edge_loop.h"

namespace lmp_uq::cuda {

constexpr int MOST_SUMS = 96;          // of a group; features of degree 1 with harmonics of degree 3 have 88

LMP_UQ_HD constexpr int n_products(const Paths &p, int path) { return (2 * p.l1[path] + 1) * (2 * p.l2[path] + 1); }

LMP_UQ_HD constexpr int end_of_group(const Paths &p, int first)
{
  int path = first + 1, n = n_products(p, first);
  while (path < p.n && n + n_products(p, path) <= MOST_SUMS) n += n_products(p, path++);
  return path;
}

// The paths FIRST .. last of features of degrees 0..L and harmonics of degrees 0..M; their sums begin at `at` among those of all paths.
template <int L, int M, int FIRST> struct Group {
  static constexpr Paths paths = make_paths(L, M);
  static constexpr int last = end_of_group(paths, FIRST), at = paths.outer[FIRST];
  static constexpr int n = (last < paths.n ? paths.outer[last] : paths.n_outer) - at;
  static constexpr bool is_last = last == paths.n;
};

template <int L, int M, int FIRST = 0> LMP_UQ_HD constexpr int largest_group()
{
  using G = Group<L, M, FIRST>;
  if constexpr (G::is_last) return G::n;
  else return G::n > largest_group<L, M, G::last>() ? G::n : largest_group<L, M, G::last>();
}

// a lane's place among the messages of a centre: (component, path) `message`, then channels
template <class T> __device__ inline std::size_t message_at(const EdgeBatch<T> &edges, std::size_t row, int n_messages, int message, const Share &me)
{
  return ((row * n_messages + message) * edges.n_blocks + me.block) * LANES + me.lane;
}

}    // namespace lmp_uq::cuda
#endif
