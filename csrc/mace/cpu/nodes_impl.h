// SPDX-License-Identifier: GPL-2.0-or-later
// Loops over atoms for one instruction set: products of the symmetric contraction and matrix products, see kernels.h.
#ifndef LMP_UQ_NODES_IMPL_H
#define LMP_UQ_NODES_IMPL_H

#include "mace/cpu/edges_impl.h"

namespace lmp_uq {
namespace LMP_UQ_ISA {

// The same component of R rows. Rows are worked on together: a coefficient and the indices of its factors are fetched once for all of them,
// and their sums do not wait for one another.
template <class T, int R> struct Packet {
  Vector<T> row[R];
};
constexpr int PRODUCT_ROWS = 4;

template <int R, class F> LMP_UQ_INLINE void each_row(const F &f)
{
  unroll<R>([&](auto r) LMP_UQ_ALWAYS { f(r.value); });
}

template <class T, int R> LMP_UQ_INLINE void load_rows(const T *from, int n, std::size_t stride, std::size_t row_stride, Packet<T, R> *to)
{
  for (int s = 0; s < n; ++s) each_row<R>([&](int r) LMP_UQ_ALWAYS { to[s].row[r] = load(from + s * stride + r * row_stride); });
}

// B_o = sum of coefficients times products of one, two and three A
template <class T, int R>
LMP_UQ_INLINE Packet<T, R> polynomial(const Polynomial &p, int o, const Packet<T, R> *a, const T *&coefficient)
{
  Packet<T, R> out{};
  for (int q = p.linear_start[o]; q < p.linear_start[o + 1]; ++q, coefficient += block<T>()) {
    const Vector<T> c = load(coefficient);
    each_row<R>([&](int r) LMP_UQ_ALWAYS { out.row[r] += c * a[p.linear[q]].row[r]; });
  }
  for (int q = p.pair_start[o]; q < p.pair_start[o + 1]; ++q) {
    const Packet<T, R> &first = a[p.pair[2 * q]], &second = a[p.pair[2 * q + 1]];
    Packet<T, R> sum;
    each_row<R>([&](int r) LMP_UQ_ALWAYS { sum.row[r] = load(coefficient); });
    coefficient += block<T>();
    for (int t = p.third_start[q]; t < p.third_start[q + 1]; ++t, coefficient += block<T>()) {
      const Vector<T> c = load(coefficient);
      each_row<R>([&](int r) LMP_UQ_ALWAYS { sum.row[r] += c * a[p.third[t]].row[r]; });
    }
    each_row<R>([&](int r) LMP_UQ_ALWAYS { out.row[r] += first.row[r] * second.row[r] * sum.row[r]; });
  }
  return out;
}

// f(first row, Index<rows>) on all rows
template <class F> LMP_UQ_INLINE void for_row_groups(int n_rows, const F &f)
{
  int row = 0;
  for (; row + PRODUCT_ROWS <= n_rows; row += PRODUCT_ROWS) f(row, Index<PRODUCT_ROWS>{});
  for (; row < n_rows; ++row) f(row, Index<1>{});
}

template <class T> LMP_UQ_INLINE const T *coefficients_of(const Polynomial &p, const T *coefficients, const Channels &c)
{
  return coefficients + static_cast<std::size_t>(c.block) * p.n_coefficients * block<T>() + c.part;
}

template <class T> void product_forward(const ProductForward<T> &a)
{
  const Polynomial &p = a.polynomial;
  const std::size_t n_channels = a.n_channels, in_row = p.n_in * n_channels, out_row = p.n_out * n_channels;
  for_channels<T>(a.n_channels, [&](const Channels &c) LMP_UQ_ALWAYS {
    for_row_groups(a.n_rows, [&](int i, auto n) LMP_UQ_ALWAYS {
      const T *coefficient = coefficients_of(p, a.coefficients, c);
      Packet<T, n.value> in[MAX_HARMONICS];
      load_rows<T, n.value>(a.in + i * in_row + c.first, p.n_in, n_channels, in_row, in);
      for (int o = 0; o < p.n_out; ++o) {
        const Packet<T, n.value> out = polynomial<T, n.value>(p, o, in, coefficient);
        each_row<n.value>([&](int r) LMP_UQ_ALWAYS { store(a.out + (i + r) * out_row + o * n_channels + c.first, out.row[r]); });
      }
    });
  });
}

// dB_o/dA_s
template <class T, int R>
LMP_UQ_INLINE void polynomial_jacobian(const Polynomial &p, int o, const Packet<T, R> *a, const T *&coefficient, Packet<T, R> *jacobian)
{
  for (int s = 0; s < p.n_in; ++s) jacobian[s] = Packet<T, R>{};
  for (int q = p.linear_start[o]; q < p.linear_start[o + 1]; ++q, coefficient += block<T>()) {
    const Vector<T> c = load(coefficient);
    each_row<R>([&](int r) LMP_UQ_ALWAYS { jacobian[p.linear[q]].row[r] += c; });
  }
  for (int q = p.pair_start[o]; q < p.pair_start[o + 1]; ++q) {
    const int first = p.pair[2 * q], second = p.pair[2 * q + 1];
    Packet<T, R> pair, sum;
    each_row<R>([&](int r) LMP_UQ_ALWAYS {
      pair.row[r] = a[first].row[r] * a[second].row[r];
      sum.row[r] = load(coefficient);
    });
    coefficient += block<T>();
    for (int t = p.third_start[q]; t < p.third_start[q + 1]; ++t, coefficient += block<T>()) {
      const Vector<T> c = load(coefficient);
      const int third = p.third[t];
      each_row<R>([&](int r) LMP_UQ_ALWAYS {
        sum.row[r] += c * a[third].row[r];
        jacobian[third].row[r] += c * pair.row[r];
      });
    }
    each_row<R>([&](int r) LMP_UQ_ALWAYS { jacobian[first].row[r] += sum.row[r] * a[second].row[r]; });
    each_row<R>([&](int r) LMP_UQ_ALWAYS { jacobian[second].row[r] += sum.row[r] * a[first].row[r]; });
  }
}

template <class T> LMP_UQ_INLINE double lane_sum(Vector<T> v)
{
  double sum = 0.0;
  for (int k = 0; k < Simd<T>::width; ++k) sum += static_cast<double>(v[k]);
  return sum;
}

// gradient (n_in) of A in one set, unscaled
template <class T, int R>
LMP_UQ_INLINE void store_product_gradient(const ProductReverse<T> &a, int set, int i, const Channels &c, const Packet<T, R> *in,
                                          const Packet<T, R> *gradient)
{
  const std::size_t n_channels = a.n_channels, in_row = a.polynomial.n_in * n_channels;
  T *out = a.in_gradient + set * a.in_set_stride + i * in_row + c.first;
  Packet<T, R> overlap{};
  for (int s = 0; s < a.polynomial.n_in; ++s)
    each_row<R>([&](int r) LMP_UQ_ALWAYS {
      overlap.row[r] += gradient[s].row[r] * in[s].row[r];
      store(out + s * n_channels + r * in_row, gradient[s].row[r] * a.scale[i + r]);
    });
  each_row<R>([&](int r) LMP_UQ_ALWAYS { a.overlap[static_cast<std::size_t>(set) * a.n_rows + i + r] += lane_sum<T>(overlap.row[r]); });
}

// Output by output: its derivatives are used by all sets, and stay in the cache. A set's sums do not depend on how many there are.
template <class T, int R> LMP_UQ_INLINE void product_reverse_rows(const ProductReverse<T> &a, int i, const Channels &c)
{
  const Polynomial &p = a.polynomial;
  const std::size_t n_channels = a.n_channels, in_row = p.n_in * n_channels, out_row = p.n_out * n_channels;
  const T *coefficient = coefficients_of(p, a.coefficients, c), *gradient = a.gradient + i * out_row + c.first;
  Packet<T, R> in[MAX_HARMONICS], jacobian[MAX_HARMONICS], sums[MAX_SETS][MAX_HARMONICS];
  load_rows<T, R>(a.in + i * in_row + c.first, p.n_in, n_channels, in_row, in);
  for (int set = 0; set < a.n_sets; ++set)
    for (int s = 0; s < p.n_in; ++s) sums[set][s] = Packet<T, R>{};
  for (int o = 0; o < p.n_out; ++o) {
    polynomial_jacobian<T, R>(p, o, in, coefficient, jacobian);
    for (int set = 0; set < a.n_sets; ++set) {
      Packet<T, R> g;
      load_rows<T, R>(gradient + set * a.set_stride + o * n_channels, 1, n_channels, out_row, &g);
      for (int s = 0; s < p.n_in; ++s) each_row<R>([&](int r) LMP_UQ_ALWAYS { sums[set][s].row[r] += g.row[r] * jacobian[s].row[r]; });
    }
  }
  for (int set = 0; set < a.n_sets; ++set) store_product_gradient<T, R>(a, set, i, c, in, sums[set]);
}

template <class T> void product_reverse(const ProductReverse<T> &a)
{
  for_channels<T>(a.n_channels, [&](const Channels &c) LMP_UQ_ALWAYS {
    for_row_groups(a.n_rows, [&](int i, auto n) LMP_UQ_ALWAYS { product_reverse_rows<T, n.value>(a, i, c); });
  });
}

template <class T> LMP_UQ_INLINE std::size_t row_offset(const Rows &rows, int r)
{
  return static_cast<std::size_t>(r / rows.inner) * rows.outer_stride + static_cast<std::size_t>(r % rows.inner) * rows.inner_stride;
}

// R rows times N vectors of one panel, sums in registers
template <class T, int R, int N> inline void gemm_tile(const Gemm<T> &g, int row, const T *b, std::size_t column)
{
  constexpr int width = Simd<T>::width, panel = 4 * block<T>();
  const T *a[R];
  Vector<T> sum[R][N];
  unroll<R>([&](auto r) LMP_UQ_ALWAYS {
    a[r.value] = g.a + row_offset<T>(g.a_rows, row + r.value);
    unroll<N>([&](auto n) LMP_UQ_ALWAYS { sum[r.value][n.value] = Vector<T>{}; });
  });
  for (int first = 0; first < g.depth; first += g.a_rows.piece) {
    const int n = g.depth - first < g.a_rows.piece ? g.depth - first : g.a_rows.piece;
    for (int k = 0; k < n; ++k, b += panel) {
      Vector<T> b_k[N];
      unroll<N>([&](auto n) LMP_UQ_ALWAYS { b_k[n.value] = load(b + n.value * width); });
      unroll<R>([&](auto r) LMP_UQ_ALWAYS {
        const T value = a[r.value][k];
        unroll<N>([&](auto n) LMP_UQ_ALWAYS { sum[r.value][n.value] += b_k[n.value] * value; });
      });
    }
    unroll<R>([&](auto r) LMP_UQ_ALWAYS { a[r.value] += g.a_rows.piece_stride; });
  }
  unroll<R>([&](auto r) LMP_UQ_ALWAYS {
    T *c = g.c + row_offset<T>(g.c_rows, row + r.value);
    unroll<N>([&](auto n) LMP_UQ_ALWAYS {
      const std::size_t at = column + n.value * width, piece = g.c_rows.piece;
      T *out = c + at / piece * g.c_rows.piece_stride + at % piece;
      if (g.add) sum[r.value][n.value] += load(out);
      store(out, sum[r.value][n.value]);
    });
  });
}

template <class T, int N> inline void gemm_columns(const Gemm<T> &g, const T *b, std::size_t column)
{
  int row = 0;
  for (; row + 6 <= g.n_rows; row += 6) gemm_tile<T, 6, N>(g, row, b, column);
  switch (g.n_rows - row) {
    case 5: gemm_tile<T, 5, N>(g, row, b, column); break;
    case 4: gemm_tile<T, 4, N>(g, row, b, column); break;
    case 3: gemm_tile<T, 3, N>(g, row, b, column); break;
    case 2: gemm_tile<T, 2, N>(g, row, b, column); break;
    case 1: gemm_tile<T, 1, N>(g, row, b, column); break;
    default: break;
  }
}

template <class T> void gemm(const Gemm<T> &g)
{
  constexpr int width = Simd<T>::width, panel = 4 * block<T>();
  constexpr int wide = VECTOR_REGISTERS == 32 ? 4 : 2;    // vectors of a tile: 6 x 4 of 32 registers, 6 x 2 of 16
  for (int column = 0; column < g.n_columns;) {
    const T *b = g.b + static_cast<std::size_t>(column / panel) * panel * g.depth + column % panel;
    const int left = g.n_columns - column, here = left < wide * width ? left / width : wide;
    if (here == 4) gemm_columns<T, wide>(g, b, column);
    else if (here == 3) gemm_columns<T, 3>(g, b, column);
    else if (here == 2) gemm_columns<T, 2>(g, b, column);
    else gemm_columns<T, 1>(g, b, column);
    column += here * width;
  }
}

}    // namespace LMP_UQ_ISA
}    // namespace lmp_uq
#endif
