// SPDX-License-Identifier: GPL-2.0-or-later
// The first layer's edges, where everything that depends on the elements is in the radial functions.
#include "mace/cuda/edge_loop.h"

namespace lmp_uq::cuda {

template <class T, int M> __global__ void __launch_bounds__(WARPS * LANES) first_forward_kernel(FirstForward<T> a)
{
  constexpr int n_y = (M + 1) * (M + 1);
  const Share me = share_of_warp(a.edges.n_blocks);
  if (me.thing >= a.edges.n_centres) return;
  const int centre = a.edges.first_centre + me.thing, last = a.edges.start[centre + 1] - a.edges.first_edge;
  T sum[n_y] = {};
  for (int e = a.edges.start[centre] - a.edges.first_edge; e < last; ++e) {
    if (a.exact && a.exact[a.edges.first_edge + e] < 0) continue;
    const T *row = radial_row(a.edges, e, M + 1, me), *y = a.edges.harmonics + static_cast<std::size_t>(e) * MAX_HARMONICS;
    const T t = a.edges.t[e];
    unroll<M + 1>([&](auto l) {
      const T r = radial(row, l.value, t);
      unroll<2 * l.value + 1>([&](auto m) { sum[l.value * l.value + m.value] += r * y[l.value * l.value + m.value]; });
    });
  }
  const T scale = static_cast<T>(a.norm[centre]);
  T *out = a.out + (static_cast<std::size_t>(me.thing) * n_y * a.edges.n_blocks + me.block) * LANES + me.lane;
#pragma unroll
  for (int s = 0; s < n_y; ++s) {
    T &to = out[static_cast<std::size_t>(s) * a.edges.n_blocks * LANES];
    to = (a.exact ? to : T(0)) + sum[s] * scale;
  }
}

template <class T> struct SumTiles { T of[WARPS][SUM_TILE]; };

template <class T, int M> __global__ void __launch_bounds__(WARPS * LANES) first_reverse_kernel(FirstReverse<T> a)
{
  constexpr int n_y = (M + 1) * (M + 1);
  LMP_UQ_SHARED(SumTiles<T>, tiles);
  const Share me = share_of_warp(a.edges.n_blocks);
  const int set = me.thing / a.edges.n_centres, centre = a.edges.first_centre + me.thing % a.edges.n_centres;
  if (set >= a.n_sets) return;
  const int last = a.edges.start[centre + 1] - a.edges.first_edge;
  const T *from = a.gradient + (static_cast<std::size_t>(me.thing) * n_y * a.edges.n_blocks + me.block) * LANES + me.lane;
  T gradient[n_y];
#pragma unroll
  for (int s = 0; s < n_y; ++s) gradient[s] = from[static_cast<std::size_t>(s) * a.edges.n_blocks * LANES];
  for (int e = a.edges.start[centre] - a.edges.first_edge; e < last; ++e) {
    if (a.exact && a.exact[a.edges.first_edge + e] < 0) continue;
    const T *row = radial_row(a.edges, e, M + 1, me), *y = a.edges.harmonics + static_cast<std::size_t>(e) * MAX_HARMONICS;
    const T t = a.edges.t[e];
    T sums[SUMS] = {};
    unroll<M + 1>([&](auto l) {
      T r, slope, along = 0;
      radial(row, l.value, t, r, slope);
      unroll<2 * l.value + 1>([&](auto m) {
        constexpr int s = l.value * l.value + m.value;
        along += gradient[s] * y[s];
        if constexpr (s > 0) sums[s] = r * gradient[s];
      });
      sums[0] += slope * along;
    });
    const T sum = lane_sums(sums, tiles.of[me.warp], me.lane);
    const std::size_t at = (static_cast<std::size_t>(set) * a.edges.n_edges + e) * a.edges.n_blocks + me.block;
    if (me.lane < SUMS) a.edge_sums[at * SUMS + me.lane] = sum;
  }
}

template <class T> void first_forward(const FirstForward<T> &a, int l_max, cudaStream_t stream)
{
  const int n_blocks = blocks_for(static_cast<std::size_t>(a.edges.n_centres) * a.edges.n_blocks);
  for_l_max(l_max, [&](auto m) { launch(stream, first_forward_kernel<T, m.value>, n_blocks, WARPS * LANES, 0, a); });
}

template <class T> void first_reverse(const FirstReverse<T> &a, int l_max, cudaStream_t stream)
{
  const int n_blocks = blocks_for(static_cast<std::size_t>(a.n_sets) * a.edges.n_centres * a.edges.n_blocks);
  for_l_max(l_max, [&](auto m) { launch(stream, first_reverse_kernel<T, m.value>, n_blocks, WARPS * LANES, 0, a); });
}

template void first_forward<float>(const FirstForward<float> &, int, cudaStream_t);
template void first_forward<double>(const FirstForward<double> &, int, cudaStream_t);
template void first_reverse<float>(const FirstReverse<float> &, int, cudaStream_t);
template void first_reverse<double>(const FirstReverse<double> &, int, cudaStream_t);

}    // namespace lmp_uq::cuda
