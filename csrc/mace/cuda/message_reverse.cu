// SPDX-License-Identifier: GPL-2.0-or-later
// The transpose of the messages: what an edge's direction, its length and the features of its source gain.
#include "mace/cuda/message_paths.h"

namespace lmp_uq::cuda {

// numbers of shared memory of a warp: first a group's gradients, then the tile of lane_sums
template <class T, int L, int M> LMP_UQ_HD constexpr int reverse_shared()
{
  constexpr int n = largest_group<L, M, most_gradients<T>()>() * LANES;
  return n > SUM_TILE ? n : SUM_TILE;
}

// one path's share of an edge's gradients
template <class T, int L, int M, int FIRST, int P>
__device__ inline void reverse_path(const T *gradient, const T *x, const T *y, T r, T slope, T (&sums)[SUMS], T (&of_x)[(L + 1) * (L + 1)])
{
  using G = Group<L, M, most_gradients<T>(), FIRST>;
  constexpr int l1 = G::paths.l1[P], l2 = G::paths.l2[P], n2 = 2 * l2 + 1, at = G::paths.outer[P] - G::at;
  T along = 0;
  unroll<2 * l1 + 1>([&](auto m1) {
    const T rx = r * x[l1 * l1 + m1.value];
    T gathered = 0;
    unroll<n2>([&](auto m2) {
      constexpr int b = l2 * l2 + m2.value;
      const T g = gradient[at + m1.value * n2 + m2.value];
      gathered += g * y[b];
      if constexpr (b > 0) sums[b] += g * rx;
    });
    along += x[l1 * l1 + m1.value] * gathered;
    of_x[l1 * l1 + m1.value] += r * gathered;
  });
  sums[0] += slope * along;
}

template <class T, int L, int M, int FIRST>
__device__ inline void reverse_edge(const MessageReverse<T> &a, int set, int e, const Share &me, const T *gradient, T *tile)
{
  using G = Group<L, M, most_gradients<T>(), FIRST>;
  constexpr int n_x = (L + 1) * (L + 1);
  const int width = a.edges.n_blocks * LANES;
  const T *row = radial_row(a.edges, e, G::paths.n, me), *y = a.edges.harmonics + static_cast<std::size_t>(e) * MAX_HARMONICS;
  const T *from = a.features + static_cast<std::size_t>(a.edges.source[a.edges.first_edge + e]) * n_x * width + me.block * LANES + me.lane;
  const T t = a.edges.t[e];
  T x[n_x], of_x[n_x] = {}, sums[SUMS] = {};
  unroll<n_x>([&](auto k) { x[k.value] = from[k.value * width]; });
  unroll<G::last - FIRST>([&](auto k) {
    T r, slope;
    radial(row, FIRST + k.value, t, r, slope);
    reverse_path<T, L, M, FIRST, FIRST + k.value>(gradient, x, y, r, slope, sums, of_x);
  });
  const std::size_t edge = static_cast<std::size_t>(set) * a.edges.n_edges + e;
  T *to = a.edge_features + edge * n_x * width + me.block * LANES + me.lane;
  unroll<n_x>([&](auto k) { to[k.value * width] = FIRST ? to[k.value * width] + of_x[k.value] : of_x[k.value]; });
  const T sum = lane_sums(sums, tile, me.lane);
  T *total = a.edge_sums + (edge * a.edges.n_blocks + me.block) * SUMS + me.lane;
  if (me.lane < SUMS) *total = FIRST ? *total + sum : sum;
}

// gradients of a group's sums, by the transposed coupling, then those of the edges
template <class T, int L, int M, int FIRST>
__device__ inline void reverse_group(const MessageReverse<T> &a, int set, int centre, const Share &me, T *shared)
{
  using G = Group<L, M, most_gradients<T>(), FIRST>;
  for (int k = 0; k < G::n; ++k) {
    T uncoupled = 0;
    for (int q = a.coupling.start[G::at + k]; q < a.coupling.start[G::at + k + 1]; ++q)
      uncoupled += a.coupling.value[q] * a.gradient[message_at(a.edges, me.thing, G::paths.n_message, a.coupling.index[q], me)];
    shared[k * LANES + me.lane] = uncoupled;
  }
  T gradient[G::n];
#pragma unroll
  for (int k = 0; k < G::n; ++k) gradient[k] = shared[k * LANES + me.lane];
  __syncwarp();    // the tile of the sums takes its place
  const int last = a.edges.start[centre + 1] - a.edges.first_edge;
  for (int e = a.edges.start[centre] - a.edges.first_edge; e < last; ++e) reverse_edge<T, L, M, FIRST>(a, set, e, me, gradient, shared);
  __syncwarp();
  if constexpr (!G::is_last) reverse_group<T, L, M, G::last>(a, set, centre, me, shared);
}

// thread blocks that a processor is to hold at once, as many as the registers allow without spills
template <class T, int L> LMP_UQ_HD constexpr int resident() { return sizeof(T) == 8 ? 2 : L == 2 ? 2 : 3; }

template <class T, int L, int M> __global__ void __launch_bounds__(WARPS * LANES, resident<T, L>()) message_reverse_kernel(MessageReverse<T> a)
{
  LMP_UQ_DYNAMIC_SHARED(T, shared);
  const Share me = share_of_warp(a.edges.n_blocks);
  const int set = me.thing / a.edges.n_centres, centre = a.edges.first_centre + me.thing % a.edges.n_centres;
  if (set >= a.n_sets) return;
  reverse_group<T, L, M, 0>(a, set, centre, me, shared + me.warp * reverse_shared<T, L, M>());
}

template <class T> void message_reverse(const MessageReverse<T> &a, int l_in, int l_max, cudaStream_t stream)
{
  const int n_blocks = blocks_for(static_cast<std::size_t>(a.n_sets) * a.edges.n_centres * a.edges.n_blocks);
  for_l_max(l_max, [&](auto m) {
    for_l_in(l_in, [&](auto l) {
      const std::size_t shared = static_cast<std::size_t>(WARPS) * reverse_shared<T, l.value, m.value>() * sizeof(T);
      launch(stream, message_reverse_kernel<T, l.value, m.value>, n_blocks, WARPS * LANES, shared, a);
    });
  });
}

template void message_reverse<float>(const MessageReverse<float> &, int, int, cudaStream_t);
template void message_reverse<double>(const MessageReverse<double> &, int, int, cudaStream_t);

}    // namespace lmp_uq::cuda
