// SPDX-License-Identifier: GPL-2.0-or-later
// The messages of a layer whose edges fetch features from their sources.
#include "mace/cuda/message_paths.h"

namespace lmp_uq::cuda {

// Sums of a group over the edges of a centre. They go through the lane's own column of shared memory, where the coupling can index them.
template <class T, int L, int M, int FIRST>
__device__ inline void forward_group(const MessageForward<T> &a, int centre, const Share &me, T *column)
{
  using G = Group<L, M, most_sums<T>(), FIRST>;
  constexpr int n_x = (L + 1) * (L + 1);
  T sum[G::n] = {};
  const int last = a.edges.start[centre + 1] - a.edges.first_edge;
  for (int e = a.edges.start[centre] - a.edges.first_edge; e < last; ++e) {
    const T *row = radial_row(a.edges, e, G::paths.n, me), *y = a.edges.harmonics + static_cast<std::size_t>(e) * MAX_HARMONICS;
    const T *x = a.features + (static_cast<std::size_t>(a.edges.source[a.edges.first_edge + e]) * n_x * a.edges.n_blocks + me.block) * LANES + me.lane;
    const T t = a.edges.t[e];
    unroll<G::last - FIRST>([&](auto k) {
      constexpr int p = FIRST + k.value, l1 = G::paths.l1[p], l2 = G::paths.l2[p], n2 = 2 * l2 + 1, at = G::paths.outer[p] - G::at;
      const T r = radial(row, p, t);
      unroll<2 * l1 + 1>([&](auto m1) {
        const T rx = r * x[(l1 * l1 + m1.value) * a.edges.n_blocks * LANES];
        unroll<n2>([&](auto m2) { sum[at + m1.value * n2 + m2.value] += rx * y[l2 * l2 + m2.value]; });
      });
    });
  }
  constexpr Paths paths = make_paths(L, M);    // G::paths is not in the device's memory
  const T scale = static_cast<T>(a.norm[centre]);
#pragma unroll
  for (int k = 0; k < G::n; ++k) column[k * LANES] = sum[k] * scale;
  for (int p = FIRST; p < G::last; ++p)
    for (int m = 0; m <= 2 * paths.l3[p]; ++m) {
      const int message = paths.block[paths.l3[p]] + m * paths.n_of[paths.l3[p]] + paths.within[p];
      T coupled = 0;
      for (int q = a.coupling.start[message]; q < a.coupling.start[message + 1]; ++q)
        coupled += a.coupling.value[q] * column[(a.coupling.index[q] - G::at) * LANES];
      a.out[message_at(a.edges, me.thing, paths.n_message, message, me)] = coupled;
    }
  if constexpr (!G::is_last) forward_group<T, L, M, G::last>(a, centre, me, column);
}

// thread blocks that a processor is to hold at once, as many as the registers allow without spills
template <class T, int L> LMP_UQ_HD constexpr int resident() { return sizeof(T) == 8 ? 2 : L == 2 ? 2 : 4; }

template <class T, int L, int M> __global__ void __launch_bounds__(WARPS * LANES, resident<T, L>()) message_forward_kernel(MessageForward<T> a)
{
  LMP_UQ_DYNAMIC_SHARED(T, columns);    // (WARPS, largest group, LANES)
  const Share me = share_of_warp(a.edges.n_blocks);
  if (me.thing >= a.edges.n_centres) return;
  forward_group<T, L, M, 0>(a, a.edges.first_centre + me.thing, me, columns + me.warp * largest_group<L, M, most_sums<T>()>() * LANES + me.lane);
}

template <class T> void message_forward(const MessageForward<T> &a, int l_in, int l_max, cudaStream_t stream)
{
  const int n_blocks = blocks_for(static_cast<std::size_t>(a.edges.n_centres) * a.edges.n_blocks);
  for_l_max(l_max, [&](auto m) {
    for_l_in(l_in, [&](auto l) {
      const std::size_t shared = static_cast<std::size_t>(WARPS) * largest_group<l.value, m.value, most_sums<T>()>() * LANES * sizeof(T);
      launch(stream, message_forward_kernel<T, l.value, m.value>, n_blocks, WARPS * LANES, shared, a);
    });
  });
}

template void message_forward<float>(const MessageForward<float> &, int, int, cudaStream_t);
template void message_forward<double>(const MessageForward<double> &, int, int, cudaStream_t);

}    // namespace lmp_uq::cuda
