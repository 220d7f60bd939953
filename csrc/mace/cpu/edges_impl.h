// SPDX-License-Identifier: GPL-2.0-or-later
// Loops over directed edges for one instruction set, see kernels.h for what they compute.
#ifndef LMP_UQ_EDGES_IMPL_H
#define LMP_UQ_EDGES_IMPL_H

#include "formulas/hd.h"
#include "mace/cpu/kernels.h"
#include "formulas/paths.h"
#include "mace/cpu/simd.h"

namespace lmp_uq {
namespace LMP_UQ_ISA {

// A vector's channels: which block, which part of the block, which channel of a row.
struct Channels {
  int block, part;
  std::size_t first;
};

template <class T, class F> LMP_UQ_INLINE void for_channels(int n_channels, const F &f)
{
  for (int b = 0; b < n_channels / block<T>(); ++b)
    for (int part = 0; part < block<T>(); part += Simd<T>::width)
      f(Channels{b, part, static_cast<std::size_t>(b) * block<T>() + part});
}

template <class T> LMP_UQ_INLINE const T *radial_row(const EdgeBatch<T> &edges, int e, const Channels &c)
{
  return edges.row[e] + c.block * edges.stride[e] + c.part;
}

// where a node's features of n components start, in an array ordered by blocks
template <class T> LMP_UQ_INLINE std::size_t feature_row(const Channels &c, int n_nodes, int node, int n)
{
  return (static_cast<std::size_t>(c.block) * n_nodes + node) * n * block<T>() + c.part;
}

// radial function number p of a row and its derivative with respect to t
template <class T> LMP_UQ_INLINE void radial(const T *row, int p, T t, Vector<T> &value, Vector<T> &slope)
{
  const T *c = row + p * n_coefficients<T>() * block<T>();
  polynomial<n_coefficients<T>()>([&](int power) LMP_UQ_ALWAYS { return load(c + power * block<T>()); }, t, value, slope);
}

template <class T> LMP_UQ_INLINE Vector<T> radial(const T *row, int p, T t)
{
  Vector<T> value, slope;
  radial(row, p, t, value, slope);
  return value;
}

template <bool SET, class V> LMP_UQ_INLINE void add_or_set(V &sum, V value)
{
  if constexpr (SET) sum = value;
  else sum += value;
}

// adds the lane sums of sums[0..N) to 16 doubles
template <class T, int N> LMP_UQ_INLINE void add_lane_sums(const Vector<T> (&sums)[MAX_HARMONICS], double *out)
{
  constexpr int width = Simd<T>::width;
  unroll<(N + width - 1) / width>([&](auto group) LMP_UQ_ALWAYS { add_widened<T>(lane_sums<T>(sums + group.value * width), out + group.value * width); });
}

template <class T, int M> void first_forward(const FirstForward<T> &a)
{
  constexpr int n_y = (M + 1) * (M + 1);
  for_channels<T>(a.n_channels, [&](const Channels &c) LMP_UQ_ALWAYS {
    for (int i = 0; i < a.edges.n_centres; ++i) {
      Vector<T> sum[n_y];
      unroll<n_y>([&](auto s) LMP_UQ_ALWAYS { sum[s.value] = Vector<T>{}; });
      for (int e = a.edges.start[i]; e < a.edges.start[i + 1]; ++e) {
        const T *row = radial_row(a.edges, e, c), *y = a.edges.harmonics + e * MAX_HARMONICS;
        unroll<M + 1>([&](auto l) LMP_UQ_ALWAYS {
          const Vector<T> r = radial(row, l.value, a.edges.t[e]);
          unroll<2 * l.value + 1>([&](auto m) LMP_UQ_ALWAYS { sum[l.value * l.value + m.value] += r * y[l.value * l.value + m.value]; });
        });
      }
      unroll<n_y>([&](auto s) LMP_UQ_ALWAYS { store(a.out + (i * static_cast<std::size_t>(n_y) + s.value) * a.n_channels + c.first, sum[s.value] * a.scale[i]); });
    }
  });
}

// Vectors of channels that are worked on together: their shares of an edge's gradient are added before the lanes are, which costs as much
// as the rest. As many as their part of the tables may take of the cache.
constexpr int FIRST_VECTORS = 4;

// f(channels of the first of N vectors, Index<N>) over all channels, N at once and the rest one by one
template <class T, int N, class F> LMP_UQ_INLINE void for_channel_groups(int n_channels, const F &f)
{
  const auto channels = [](int first) LMP_UQ_ALWAYS { return Channels{first / block<T>(), first % block<T>(), static_cast<std::size_t>(first)}; };
  int first = 0;
  for (; first + N * Simd<T>::width <= n_channels; first += N * Simd<T>::width) f(channels(first), Index<N>{});
  for (; first < n_channels; first += Simd<T>::width) f(channels(first), Index<1>{});
}

template <class T> LMP_UQ_INLINE Channels next(const Channels &c, int n_vectors)
{
  const int first = static_cast<int>(c.first) + n_vectors * Simd<T>::width;
  return {first / block<T>(), first % block<T>(), static_cast<std::size_t>(first)};
}

// gradient of a centre's sums, packed: rows of a power of two bytes share few places of the cache
template <class T, int M, int N> struct FirstGradient {
  Vector<T> of[MAX_SETS][N][(M + 1) * (M + 1)];

  LMP_UQ_INLINE FirstGradient(const FirstReverse<T> &a, int i, const Channels &c)
  {
    constexpr int n_y = (M + 1) * (M + 1);
    for (int k = 0; k < a.n_sets; ++k)
      for (int s = 0; s < n_y; ++s) {
        const T *from = a.gradient + k * a.set_stride + (i * static_cast<std::size_t>(n_y) + s) * a.n_channels + c.first;
        for (int v = 0; v < N; ++v) of[k][v][s] = load(from + v * Simd<T>::width);
      }
  }
};

template <class T, int M, int N, bool STACKED>
LMP_UQ_INLINE void first_reverse_edge(const FirstReverse<T> &a, int e, const Channels &c, const FirstGradient<T, M, N> &gradient)
{
  const T *y = a.edges.harmonics + e * MAX_HARMONICS;
  Vector<T> r[N][M + 1], slope[N][M + 1];
  const auto radial_of = [&](auto v, auto l) LMP_UQ_ALWAYS {
    radial(radial_row(a.edges, e, next<T>(c, v.value)), l.value, a.edges.t[e], r[v.value][l.value], slope[v.value][l.value]);
  };
  if constexpr (STACKED) unroll<N>([&](auto v) LMP_UQ_ALWAYS { unroll<M + 1>([&](auto l) LMP_UQ_ALWAYS { radial_of(v, l); }); });
  for (int k = 0; k < (STACKED ? a.n_sets : 1); ++k) {
    Vector<T> sums[MAX_HARMONICS] = {};
    unroll<N>([&](auto v) LMP_UQ_ALWAYS {
      const auto &g = gradient.of[k][v.value];
      unroll<M + 1>([&](auto l) LMP_UQ_ALWAYS {
        Vector<T> along{};
        if constexpr (!STACKED) radial_of(v, l);
        unroll<2 * l.value + 1>([&](auto m) LMP_UQ_ALWAYS {
          constexpr int s = l.value * l.value + m.value;
          along += g[s] * y[s];
          if constexpr (s > 0) sums[s] += r[v.value][l.value] * g[s];
        });
        sums[0] += slope[v.value][l.value] * along;
      });
    });
    add_lane_sums<T, (M + 1) * (M + 1)>(sums, a.edge_gradient + (static_cast<std::size_t>(e) * a.n_sets + k) * MAX_HARMONICS);
  }
}

template <class T, int M> void first_reverse(const FirstReverse<T> &a)
{
  for_channel_groups<T, FIRST_VECTORS>(a.n_channels, [&](const Channels &c, auto n) LMP_UQ_ALWAYS {
    for (int i = 0; i < a.edges.n_centres; ++i) {
      const FirstGradient<T, M, n.value> gradient(a, i, c);
      const int first = a.edges.start[i], last = a.edges.start[i + 1];
      if (a.n_sets == 1)
        for (int e = first; e < last; ++e) first_reverse_edge<T, M, n.value, false>(a, e, c, gradient);
      else
        for (int e = first; e < last; ++e) first_reverse_edge<T, M, n.value, true>(a, e, c, gradient);
    }
  });
}

// the same map for N arrays of vectors at once: `in` and `out` are in_set and out_set numbers apart
template <class T, int N>
LMP_UQ_INLINE void apply(const SparseMap<T> &map, const Vector<T> *in, std::size_t in_set, T *out, std::size_t out_stride, std::size_t out_set)
{
  for (int o = 0; o < map.n_out; ++o) {
    Vector<T> sum[N];
    unroll<N>([&](auto k) LMP_UQ_ALWAYS { sum[k.value] = Vector<T>{}; });
    for (int q = map.start[o]; q < map.start[o + 1]; ++q)
      unroll<N>([&](auto k) LMP_UQ_ALWAYS { sum[k.value] += map.value[q] * in[k.value * in_set + map.index[q]]; });
    unroll<N>([&](auto k) LMP_UQ_ALWAYS { store(out + o * out_stride + k.value * out_set, sum[k.value]); });
  }
}

// sum_j R_p x_j,a Y_b for all a, b of one path
template <class T, int L, int M, int P>
LMP_UQ_INLINE void sum_path(const MessageForward<T> &a, int i, const Channels &c, Vector<T> *outer)
{
  constexpr Paths paths = make_paths(L, M);
  constexpr int l1 = paths.l1[P], l2 = paths.l2[P], n1 = 2 * l1 + 1, n2 = 2 * l2 + 1;
  constexpr int n_x = (L + 1) * (L + 1);
  Vector<T> sum[n1 * n2];
  unroll<n1 * n2>([&](auto k) LMP_UQ_ALWAYS { sum[k.value] = Vector<T>{}; });
  for (int e = a.edges.start[i]; e < a.edges.start[i + 1]; ++e) {
    const Vector<T> r = radial(radial_row(a.edges, e, c), P, a.edges.t[e]);
    const T *x = a.features + feature_row<T>(c, a.n_nodes, a.edges.neighbour[e], n_x) + l1 * l1 * block<T>();
    const T *y = a.edges.harmonics + e * MAX_HARMONICS + l2 * l2;
    Vector<T> rx[n1];
    unroll<n1>([&](auto k) LMP_UQ_ALWAYS { rx[k.value] = r * load(x + k.value * block<T>()); });
    unroll<n2>([&](auto m) LMP_UQ_ALWAYS {
      unroll<n1>([&](auto k) LMP_UQ_ALWAYS { sum[k.value * n2 + m.value] += rx[k.value] * y[m.value]; });
    });
  }
  unroll<n1 * n2>([&](auto k) LMP_UQ_ALWAYS { outer[paths.outer[P] + k.value] = sum[k.value] * a.scale[i]; });
}

template <class T, int L, int M> void message_forward(const MessageForward<T> &a)
{
  constexpr Paths paths = make_paths(L, M);
  for_channels<T>(a.n_channels, [&](const Channels &c) LMP_UQ_ALWAYS {
    for (int i = 0; i < a.edges.n_centres; ++i) {
      Vector<T> outer[paths.n_outer];
      unroll<paths.n>([&](auto p) LMP_UQ_ALWAYS { sum_path<T, L, M, p.value>(a, i, c, outer); });
      apply<T, 1>(a.coupling, outer, 0, a.out + feature_row<T>(c, a.edges.n_centres, i, paths.n_message), block<T>(), 0);
    }
  });
}

// What an edge's gradients are made of. STACKED: several cotangents use its radial functions, which are kept; else each is evaluated where
// it is used, in registers.
template <class T, int L, int M, bool STACKED> struct Edge {
  static constexpr int n_x = (L + 1) * (L + 1), n_paths = make_paths(L, M).n;
  const T *y, *row;
  T t;
  std::size_t target;                           // of the gradient of the features that x was loaded from
  Vector<T> x[n_x], r[n_paths], slope[n_paths];

  LMP_UQ_INLINE Edge(const MessageReverse<T> &a, int e, const Channels &c)
      : y(a.edges.harmonics + e * MAX_HARMONICS), row(radial_row(a.edges, e, c)), t(a.edges.t[e]),
        target(feature_row<T>(c, a.n_slots, a.slot[e], n_x * a.n_sets))
  {
    const T *from = a.features + feature_row<T>(c, a.n_nodes, a.edges.neighbour[e], n_x);
    unroll<n_x>([&](auto k) LMP_UQ_ALWAYS { x[k.value] = load(from + k.value * block<T>()); });
    if constexpr (STACKED) unroll<n_paths>([&](auto p) LMP_UQ_ALWAYS { radial(row, p.value, t, r[p.value], slope[p.value]); });
  }
  LMP_UQ_INLINE void radial_of(int p, Vector<T> &value, Vector<T> &derivative) const
  {
    if constexpr (!STACKED) return radial(row, p, t, value, derivative);
    value = r[p];
    derivative = slope[p];
  }
};

// what an edge gains from one cotangent: sums[0] along t, sums[b] of Y_b, x of the source's features
template <class T, int L> struct EdgeGradients {
  Vector<T> sums[MAX_HARMONICS], x[(L + 1) * (L + 1)];
};

// Is path p the first with its harmonics, and with its features, if paths are taken by degrees of harmonics?
constexpr bool first_of_harmonics(const Paths &paths, int p)
{
  for (int q = 0; q < p; ++q)
    if (paths.l2[q] == paths.l2[p]) return false;
  return true;
}

constexpr bool first_of_features(const Paths &paths, int p)
{
  for (int q = 0; q < paths.n; ++q)
    if (paths.l1[q] == paths.l1[p] && (paths.l2[q] < paths.l2[p] || (paths.l2[q] == paths.l2[p] && q < p))) return false;
  return true;
}

// One path's share; of_y: its harmonics' part of the sums, which stays in registers over all paths with the same harmonics. The first path
// sets what the others add to: zeros would have to be stored.
template <class T, int L, int M, int P, bool STACKED, int N>
LMP_UQ_INLINE void reverse_path(const Edge<T, L, M, STACKED> &edge, const Vector<T> *outer, Vector<T> (&of_y)[N], EdgeGradients<T, L> &out)
{
  constexpr Paths paths = make_paths(L, M);
  constexpr int l1 = paths.l1[P], l2 = paths.l2[P], n1 = 2 * l1 + 1, n2 = 2 * l2 + 1;
  constexpr bool sets_y = first_of_harmonics(paths, P), sets_x = first_of_features(paths, P);
  Vector<T> r, slope, along;
  edge.radial_of(P, r, slope);
  unroll<n1>([&](auto k) LMP_UQ_ALWAYS {
    const Vector<T> x = edge.x[l1 * l1 + k.value], rx = r * x;
    Vector<T> gathered;
    unroll<n2>([&](auto m) LMP_UQ_ALWAYS {
      const Vector<T> g = outer[paths.outer[P] + k.value * n2 + m.value];
      add_or_set<m.value == 0>(gathered, g * edge.y[l2 * l2 + m.value]);
      if constexpr (l2 > 0) add_or_set<sets_y && k.value == 0>(of_y[m.value], g * rx);
    });
    add_or_set<k.value == 0>(along, x * gathered);
    add_or_set<sets_x>(out.x[l1 * l1 + k.value], r * gathered);
  });
  add_or_set<l1 == 0 && l2 == 0>(out.sums[0], slope * along);
}

template <class T, int L, int M, bool STACKED>
LMP_UQ_INLINE void reverse_edge(const Edge<T, L, M, STACKED> &edge, const Vector<T> *outer, EdgeGradients<T, L> &out)
{
  constexpr Paths paths = make_paths(L, M);
  unroll<M + 1>([&](auto l2) LMP_UQ_ALWAYS {
    constexpr int n2 = 2 * l2.value + 1;
    Vector<T> of_y[n2];
    unroll<paths.n>([&](auto p) LMP_UQ_ALWAYS {
      if constexpr (paths.l2[p.value] == l2.value) reverse_path<T, L, M, p.value>(edge, outer, of_y, out);
    });
    if constexpr (l2.value > 0) unroll<n2>([&](auto m) LMP_UQ_ALWAYS { out.sums[l2.value * l2.value + m.value] = of_y[m.value]; });
  });
}

template <class T, int L, int M, bool STACKED>
LMP_UQ_INLINE void message_reverse_edge(const MessageReverse<T> &a, int e, const Channels &c,
                                        const Vector<T> (&outer)[MAX_SETS][make_paths(L, M).n_outer])
{
  constexpr int n_x = (L + 1) * (L + 1);
  const Edge<T, L, M, STACKED> edge(a, e, c);
  for (int set = 0; set < (STACKED ? a.n_sets : 1); ++set) {
    EdgeGradients<T, L> gradients;
    if constexpr (M < 3)
      for (int b = (M + 1) * (M + 1); b < MAX_HARMONICS; ++b) gradients.sums[b] = Vector<T>{};    // of no path
    reverse_edge(edge, outer[set], gradients);
    T *target = a.features_gradient + edge.target + set * n_x * block<T>();
    unroll<n_x>([&](auto k) LMP_UQ_ALWAYS {
      T *p = target + k.value * block<T>();
      store(p, load(p) + gradients.x[k.value]);
    });
    add_lane_sums<T, (M + 1) * (M + 1)>(gradients.sums, a.edge_gradient + (static_cast<std::size_t>(e) * a.n_sets + set) * MAX_HARMONICS);
  }
}

// gradients of a centre's messages -> of its summed products, for each set
template <class T, int L, int M>
LMP_UQ_INLINE void uncouple(const MessageReverse<T> &a, int i, const Channels &c, Vector<T> (&outer)[MAX_SETS][make_paths(L, M).n_outer])
{
  constexpr Paths paths = make_paths(L, M);
  constexpr std::size_t width = Simd<T>::width;
  Vector<T> in[MAX_SETS][paths.n_message];
  for (int set = 0; set < a.n_sets; ++set) {
    const T *g = a.gradient + set * a.set_stride + feature_row<T>(c, a.edges.n_centres, i, paths.n_message);
    for (int k = 0; k < paths.n_message; ++k) in[set][k] = load(g + k * block<T>());
  }
  T *out = reinterpret_cast<T *>(outer[0]);
  if (a.n_sets == MAX_SETS)
    apply<T, MAX_SETS>(a.coupling, in[0], paths.n_message, out, width, paths.n_outer * width);
  else
    for (int set = 0; set < a.n_sets; ++set) apply<T, 1>(a.coupling, in[set], 0, out + set * paths.n_outer * width, width, 0);
}

template <class T, int L, int M> void message_reverse(const MessageReverse<T> &a)
{
  for_channels<T>(a.n_channels, [&](const Channels &c) LMP_UQ_ALWAYS {
    for (int i = 0; i < a.edges.n_centres; ++i) {
      Vector<T> outer[MAX_SETS][make_paths(L, M).n_outer];
      uncouple<T, L, M>(a, i, c, outer);
      const int first = a.edges.start[i], last = a.edges.start[i + 1];
      if (a.n_sets == 1)
        for (int e = first; e < last; ++e) message_reverse_edge<T, L, M, false>(a, e, c, outer);
      else
        for (int e = first; e < last; ++e) message_reverse_edge<T, L, M, true>(a, e, c, outer);
    }
  });
}

}    // namespace LMP_UQ_ISA
}    // namespace lmp_uq
#endif
