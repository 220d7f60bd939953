// SPDX-License-Identifier: GPL-2.0-or-later
// The transpose of the messages: what an edge's direction, its length and the features of its source gain.
#include "mace/cuda/message_paths.h"
#include "mace/passes.h"

namespace lmp_uq::cuda {

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

// Gradients of features and the 16 sums of an edge; functions(path, value, slope) gives the radial ones.
template <class T, int L, int M, int FIRST, class F>
__device__ inline void reverse_edge(const MessageReverse<T> &a, int set, int e, const Share &me, const T *gradient, T *tile, const T *x, const T *y,
                                    const F &functions)
{
  using G = Group<L, M, most_gradients<T>(), FIRST>;
  constexpr int n_x = (L + 1) * (L + 1);
  const int width = a.edges.n_blocks * LANES;
  T of_x[n_x] = {}, sums[SUMS] = {};
  unroll<G::last - FIRST>([&](auto k) {
    T r, slope;
    functions(FIRST + k.value, r, slope);
    reverse_path<T, L, M, FIRST, FIRST + k.value>(gradient, x, y, r, slope, sums, of_x);
  });
  const std::size_t edge = static_cast<std::size_t>(set) * a.edges.n_edges + e;
  T *to = a.edge_features + edge * n_x * width + me.block * LANES + me.lane;
  unroll<n_x>([&](auto k) { to[k.value * width] = FIRST ? to[k.value * width] + of_x[k.value] : of_x[k.value]; });
  const T sum = lane_sums(sums, tile, me.lane);
  T *total = a.edge_sums + (edge * a.edges.n_blocks + me.block) * SUMS + me.lane;
  if (me.lane < SUMS) *total = FIRST ? *total + sum : sum;
}

// gradients of a group's sums, by the transposed coupling; through the lane's own column of shared memory, which can be indexed
template <class T, class G> __device__ inline void uncouple(const MessageReverse<T> &a, const Share &me, T *shared, T (&gradient)[G::n])
{
  for (int k = 0; k < G::n; ++k) {
    T uncoupled = 0;
    for (int q = a.coupling.start[G::at + k]; q < a.coupling.start[G::at + k + 1]; ++q)
      uncoupled += a.coupling.value[q] * a.gradient[message_at(a.edges, me.thing, G::paths.n_message, a.coupling.index[q], me)];
    shared[k * LANES + me.lane] = uncoupled;
  }
#pragma unroll
  for (int k = 0; k < G::n; ++k) gradient[k] = shared[k * LANES + me.lane];
}

template <class T, int L> __device__ inline const T *features_of_source(const MessageReverse<T> &a, int e, const Share &me)
{
  constexpr int n_x = (L + 1) * (L + 1);
  const int width = a.edges.n_blocks * LANES;
  return a.features + static_cast<std::size_t>(a.edges.source[a.edges.first_edge + e]) * n_x * width + me.block * LANES + me.lane;
}

// ---- one set: a warp for each centre and block of channels

template <class T, int L, int M, int FIRST>
__device__ inline void reverse_group(const MessageReverse<T> &a, int centre, const Share &me, T *shared)
{
  using G = Group<L, M, most_gradients<T>(), FIRST>;
  constexpr int n_x = (L + 1) * (L + 1);
  T gradient[G::n];
  uncouple<T, G>(a, me, shared, gradient);
  __syncwarp();    // the tile of the sums takes its place
  const int last = a.edges.start[centre + 1] - a.edges.first_edge;
  for (int e = a.edges.start[centre] - a.edges.first_edge; e < last; ++e) {
    const T *row = radial_row(a.edges, e, G::paths.n, me), *from = features_of_source<T, L>(a, e, me), t = a.edges.t[e];
    T x[n_x];
    unroll<n_x>([&](auto k) { x[k.value] = from[k.value * a.edges.n_blocks * LANES]; });
    reverse_edge<T, L, M, FIRST>(a, 0, e, me, gradient, shared, x, a.edges.harmonics + static_cast<std::size_t>(e) * MAX_HARMONICS,
                                 [&](int path, T &r, T &slope) { radial(row, path, t, r, slope); });
  }
  __syncwarp();
  if constexpr (!G::is_last) reverse_group<T, L, M, G::last>(a, centre, me, shared);
}

// ---- several sets: a thread block for each centre and block of channels, a warp for each set. What is the same for all of them is worked out
// once: a warp takes every so manieth edge and leaves its numbers in shared memory.

template <class T, int L, int M, int FIRST>
__device__ inline void share_edge(const MessageReverse<T> &a, int e, const Share &me, SharedEdge<T, L, M, FIRST> &to)
{
  using G = Group<L, M, most_gradients<T>(), FIRST>;
  const T *row = radial_row(a.edges, e, G::paths.n, me), *from = features_of_source<T, L>(a, e, me), t = a.edges.t[e];
  unroll<(L + 1) * (L + 1)>([&](auto k) { to.x[k.value][me.lane] = from[k.value * a.edges.n_blocks * LANES]; });
  unroll<G::last - FIRST>([&](auto k) {
    T r, slope;
    radial(row, FIRST + k.value, t, r, slope);
    to.functions[k.value][0][me.lane] = r, to.functions[k.value][1][me.lane] = slope;
  });
  if (me.lane < MAX_HARMONICS) to.y[me.lane] = a.edges.harmonics[static_cast<std::size_t>(e) * MAX_HARMONICS + me.lane];
}

template <class T, int L, int M, int FIRST> __device__ inline void reverse_stacked(const MessageReverse<T> &a, int centre, const Share &me, T *shared)
{
  using G = Group<L, M, most_gradients<T>(), FIRST>;
  T gradient[G::n], *const tile = shared + me.warp * SUM_TILE;
  uncouple<T, G>(a, me, shared + me.warp * G::n * LANES, gradient);
  auto *const edges = reinterpret_cast<SharedEdge<T, L, M, FIRST> *>(shared + a.n_sets * SUM_TILE);
  const int last = a.edges.start[centre + 1] - a.edges.first_edge, at_once = EDGES_OF_WARP * a.n_sets;
  for (int first = a.edges.start[centre] - a.edges.first_edge; first < last; first += at_once) {
    const int n = min(at_once, last - first);
    __syncthreads();    // what was there has been read
    for (int k = me.warp; k < n; k += a.n_sets) share_edge<T, L, M, FIRST>(a, first + k, me, edges[k]);
    __syncthreads();
    for (int k = 0; k < n; ++k) {
      const auto &edge = edges[k];
      T x[(L + 1) * (L + 1)];
      unroll<(L + 1) * (L + 1)>([&](auto c) { x[c.value] = edge.x[c.value][me.lane]; });
      reverse_edge<T, L, M, FIRST>(a, me.warp, first + k, me, gradient, tile, x, edge.y, [&](int path, T &r, T &slope) {
        r = edge.functions[path - FIRST][0][me.lane], slope = edge.functions[path - FIRST][1][me.lane];
      });
    }
  }
  if constexpr (!G::is_last) {
    __syncthreads();
    reverse_stacked<T, L, M, G::last>(a, centre, me, shared);
  }
}

// thread blocks that a processor is to hold at once, as many as the registers allow without spills
template <class T, int L> LMP_UQ_HD constexpr int resident() { return sizeof(T) == 8 ? 2 : L == 2 ? 2 : 3; }

template <class T, int L, int M> __global__ void __launch_bounds__(WARPS * LANES, resident<T, L>()) message_reverse_kernel(MessageReverse<T> a)
{
  LMP_UQ_DYNAMIC_SHARED(T, shared);
  const Share me = share_of_warp(a.edges.n_blocks);
  if (me.thing >= a.edges.n_centres) return;
  reverse_group<T, L, M, 0>(a, a.edges.first_centre + me.thing, me, shared + me.warp * reverse_shared<T, L, M>());
}

template <class T, int L, int M> __global__ void __launch_bounds__(MAX_SETS * LANES, resident<T, L>()) message_reverse_stacked_kernel(MessageReverse<T> a)
{
  LMP_UQ_DYNAMIC_SHARED(T, shared);
  const int warp = threadIdx.x / LANES, centre = blockIdx.x / a.edges.n_blocks;
  const Share me{warp * a.edges.n_centres + centre, static_cast<int>(blockIdx.x) % a.edges.n_blocks, static_cast<int>(threadIdx.x) % LANES, warp};
  reverse_stacked<T, L, M, 0>(a, a.edges.first_centre + centre, me, shared);
}

template <class T> void message_reverse(const MessageReverse<T> &a, int l_in, int l_max, cudaStream_t stream)
{
  const int n = a.edges.n_centres * a.edges.n_blocks;
  for_l_max(l_max, [&](auto m) {
    for_l_in(l_in, [&](auto l) {
      constexpr std::size_t single = reverse_shared<T, l.value, m.value>() * sizeof(T), stacked = stacked_shared<T, l.value, m.value>() * sizeof(T);
      if (a.n_sets == 1) launch(stream, message_reverse_kernel<T, l.value, m.value>, blocks_for(n), WARPS * LANES, WARPS * single, a);
      else launch(stream, message_reverse_stacked_kernel<T, l.value, m.value>, n, a.n_sets * LANES, a.n_sets * stacked, a);
    });
  });
}

template void message_reverse<float>(const MessageReverse<float> &, int, int, cudaStream_t);
template void message_reverse<double>(const MessageReverse<double> &, int, int, cudaStream_t);

}    // namespace lmp_uq::cuda
