// SPDX-License-Identifier: GPL-2.0-or-later
// Loops over directed edges for one instruction set, see kernels.h for what they compute.
#ifndef LMP_UQ_EDGES_IMPL_H
#define LMP_UQ_EDGES_IMPL_H

#include "hd.h"
#include "kernels.h"
#include "paths.h"
#include "simd.h"

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

// radial function number p of a row
template <class T> LMP_UQ_INLINE Vector<T> radial(const T *row, int p, T t)
{
  const T *c = row + p * N_COEFFICIENTS * block<T>();
  Vector<T> value = load(c + (N_COEFFICIENTS - 1) * block<T>());
  unroll<N_COEFFICIENTS - 1>([&](auto k) LMP_UQ_ALWAYS { value = value * t + load(c + (N_COEFFICIENTS - 2 - k.value) * block<T>()); });
  return value;
}

// and its derivative with respect to t
template <class T> LMP_UQ_INLINE void radial(const T *row, int p, T t, Vector<T> &value, Vector<T> &slope)
{
  const T *c = row + p * N_COEFFICIENTS * block<T>();
  value = load(c + (N_COEFFICIENTS - 1) * block<T>());
  slope = Vector<T>{};
  unroll<N_COEFFICIENTS - 1>([&](auto k) LMP_UQ_ALWAYS {
    slope = slope * t + value;
    value = value * t + load(c + (N_COEFFICIENTS - 2 - k.value) * block<T>());
  });
}

// adds the lane sums of sums[0..N) to 16 doubles
template <class T, int N> LMP_UQ_INLINE void add_lane_sums(const Vector<T> (&sums)[MAX_HARMONICS], double *out)
{
  constexpr int width = Simd<T>::width;
  unroll<(N + width - 1) / width>([&](auto group) LMP_UQ_ALWAYS {
    const Vector<T> s = lane_sums<T>(sums + group.value * width);
    for (int k = 0; k < width; ++k) out[group.value * width + k] += static_cast<double>(s[k]);
  });
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
      unroll<n_y>([&](auto s) LMP_UQ_ALWAYS { store(a.out + (i * static_cast<std::size_t>(n_y) + s.value) * a.n_channels + c.first, sum[s.value]); });
    }
  });
}

template <class T, int M> LMP_UQ_INLINE void first_reverse_edge(const FirstReverse<T> &a, int i, int e, const Channels &c)
{
  constexpr int n_y = (M + 1) * (M + 1);
  const T *row = radial_row(a.edges, e, c), *y = a.edges.harmonics + e * MAX_HARMONICS;
  Vector<T> r[M + 1], slope[M + 1];
  unroll<M + 1>([&](auto l) LMP_UQ_ALWAYS { radial(row, l.value, a.edges.t[e], r[l.value], slope[l.value]); });
  for (int k = 0; k < a.n_sets; ++k) {
    const T *g = a.gradient + k * a.set_stride + i * static_cast<std::size_t>(n_y) * a.n_channels + c.first;
    Vector<T> sums[MAX_HARMONICS] = {};
    unroll<M + 1>([&](auto l) LMP_UQ_ALWAYS {
      Vector<T> along{};
      unroll<2 * l.value + 1>([&](auto m) LMP_UQ_ALWAYS {
        constexpr int s = l.value * l.value + m.value;
        const Vector<T> g_s = load(g + s * static_cast<std::size_t>(a.n_channels));
        along += g_s * y[s];
        if constexpr (s > 0) sums[s] = r[l.value] * g_s;
      });
      sums[0] += slope[l.value] * along;
    });
    add_lane_sums<T, n_y>(sums, a.edge_gradient + (static_cast<std::size_t>(e) * a.n_sets + k) * MAX_HARMONICS);
  }
}

template <class T, int M> void first_reverse(const FirstReverse<T> &a)
{
  for_channels<T>(a.n_channels, [&](const Channels &c) LMP_UQ_ALWAYS {
    for (int i = 0; i < a.edges.n_centres; ++i)
      for (int e = a.edges.start[i]; e < a.edges.start[i + 1]; ++e) first_reverse_edge<T, M>(a, i, e, c);
  });
}

template <class T> LMP_UQ_INLINE void apply(const SparseMap<T> &map, const Vector<T> *in, T *out, std::size_t out_stride)
{
  for (int o = 0; o < map.n_out; ++o) {
    Vector<T> sum{};
    for (int q = map.start[o]; q < map.start[o + 1]; ++q) sum += map.value[q] * in[map.index[q]];
    store(out + o * out_stride, sum);
  }
}

// sum_j R_p x_j,a Y_b for all a, b of one path
template <class T, int L, int M, int P>
LMP_UQ_INLINE void sum_path(const MessageForward<T> &a, int i, const Channels &c, Vector<T> *outer)
{
  constexpr Paths paths = make_paths(L, M);
  constexpr int l1 = paths.l1[P], l2 = paths.l2[P], n1 = 2 * l1 + 1, n2 = 2 * l2 + 1;
  constexpr std::size_t n_x = (L + 1) * (L + 1);
  Vector<T> sum[n1 * n2];
  unroll<n1 * n2>([&](auto k) LMP_UQ_ALWAYS { sum[k.value] = Vector<T>{}; });
  for (int e = a.edges.start[i]; e < a.edges.start[i + 1]; ++e) {
    const Vector<T> r = radial(radial_row(a.edges, e, c), P, a.edges.t[e]);
    const T *x = a.features + (a.edges.neighbour[e] * n_x + l1 * l1) * a.n_channels + c.first;
    const T *y = a.edges.harmonics + e * MAX_HARMONICS + l2 * l2;
    Vector<T> rx[n1];
    unroll<n1>([&](auto k) LMP_UQ_ALWAYS { rx[k.value] = r * load(x + k.value * static_cast<std::size_t>(a.n_channels)); });
    unroll<n2>([&](auto m) LMP_UQ_ALWAYS {
      unroll<n1>([&](auto k) LMP_UQ_ALWAYS { sum[k.value * n2 + m.value] += rx[k.value] * y[m.value]; });
    });
  }
  unroll<n1 * n2>([&](auto k) LMP_UQ_ALWAYS { outer[paths.outer[P] + k.value] = sum[k.value]; });
}

template <class T, int L, int M> void message_forward(const MessageForward<T> &a)
{
  constexpr Paths paths = make_paths(L, M);
  for_channels<T>(a.n_channels, [&](const Channels &c) LMP_UQ_ALWAYS {
    for (int i = 0; i < a.edges.n_centres; ++i) {
      Vector<T> outer[paths.n_outer];
      unroll<paths.n>([&](auto p) LMP_UQ_ALWAYS { sum_path<T, L, M, p.value>(a, i, c, outer); });
      apply(a.coupling, outer, a.out + i * static_cast<std::size_t>(paths.n_message) * a.n_channels + c.first, a.n_channels);
    }
  });
}

// one path's share in the gradients of an edge: sums[0] along t, sums[b] of Y_b, x_gradient of the source's features
template <class T, int L, int M, int P>
LMP_UQ_INLINE void reverse_path(const Vector<T> *outer, const Vector<T> *r, const Vector<T> *slope, const Vector<T> *x, const T *y,
                                Vector<T> (&sums)[MAX_HARMONICS], Vector<T> *x_gradient)
{
  constexpr Paths paths = make_paths(L, M);
  constexpr int l1 = paths.l1[P], l2 = paths.l2[P], n1 = 2 * l1 + 1, n2 = 2 * l2 + 1;
  Vector<T> along{};
  unroll<n1>([&](auto k) LMP_UQ_ALWAYS {
    const Vector<T> rx = r[P] * x[l1 * l1 + k.value];
    Vector<T> gathered{};
    unroll<n2>([&](auto m) LMP_UQ_ALWAYS {
      const Vector<T> g = outer[paths.outer[P] + k.value * n2 + m.value];
      gathered += g * y[l2 * l2 + m.value];
      if constexpr (l2 > 0) sums[l2 * l2 + m.value] += g * rx;
    });
    along += x[l1 * l1 + k.value] * gathered;
    x_gradient[l1 * l1 + k.value] += r[P] * gathered;
  });
  sums[0] += slope[P] * along;
}

template <class T, int L, int M>
LMP_UQ_INLINE void message_reverse_edge(const MessageReverse<T> &a, int e, const Channels &c,
                                        const Vector<T> (&outer)[MAX_SETS][make_paths(L, M).n_outer])
{
  constexpr Paths paths = make_paths(L, M);
  constexpr int n_x = (L + 1) * (L + 1);
  const T *row = radial_row(a.edges, e, c), *y = a.edges.harmonics + e * MAX_HARMONICS;
  const std::size_t source = static_cast<std::size_t>(a.edges.neighbour[e]) * n_x * a.n_channels + c.first;
  Vector<T> r[paths.n], slope[paths.n], x[n_x];
  unroll<paths.n>([&](auto p) LMP_UQ_ALWAYS { radial(row, p.value, a.edges.t[e], r[p.value], slope[p.value]); });
  unroll<n_x>([&](auto k) LMP_UQ_ALWAYS { x[k.value] = load(a.features + source + k.value * static_cast<std::size_t>(a.n_channels)); });
  for (int set = 0; set < a.n_sets; ++set) {
    Vector<T> sums[MAX_HARMONICS] = {}, x_gradient[n_x] = {};
    unroll<paths.n>([&](auto p) LMP_UQ_ALWAYS { reverse_path<T, L, M, p.value>(outer[set], r, slope, x, y, sums, x_gradient); });
    T *target = a.features_gradient + set * a.feature_set_stride + source;
    unroll<n_x>([&](auto k) LMP_UQ_ALWAYS {
      T *p = target + k.value * static_cast<std::size_t>(a.n_channels);
      store(p, load(p) + x_gradient[k.value]);
    });
    add_lane_sums<T, (M + 1) * (M + 1)>(sums, a.edge_gradient + (static_cast<std::size_t>(e) * a.n_sets + set) * MAX_HARMONICS);
  }
}

template <class T, int L, int M> void message_reverse(const MessageReverse<T> &a)
{
  constexpr Paths paths = make_paths(L, M);
  for_channels<T>(a.n_channels, [&](const Channels &c) LMP_UQ_ALWAYS {
    for (int i = 0; i < a.edges.n_centres; ++i) {
      Vector<T> outer[MAX_SETS][paths.n_outer];
      for (int set = 0; set < a.n_sets; ++set) {
        Vector<T> in[paths.n_message];
        const T *g = a.gradient + set * a.set_stride + i * static_cast<std::size_t>(paths.n_message) * a.n_channels + c.first;
        for (int k = 0; k < paths.n_message; ++k) in[k] = load(g + k * static_cast<std::size_t>(a.n_channels));
        apply(a.coupling, in, reinterpret_cast<T *>(outer[set]), Simd<T>::width);
      }
      for (int e = a.edges.start[i]; e < a.edges.start[i + 1]; ++e) message_reverse_edge<T, L, M>(a, e, c, outer);
    }
  });
}

}    // namespace LMP_UQ_ISA
}    // namespace lmp_uq
#endif
