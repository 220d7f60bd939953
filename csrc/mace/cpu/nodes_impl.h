// SPDX-License-Identifier: GPL-2.0-or-later
// Loops over atoms for one instruction set: products of the symmetric contraction and matrix products, see kernels.h.
#ifndef LMP_UQ_NODES_IMPL_H
#define LMP_UQ_NODES_IMPL_H

#include "mace/cpu/edges_impl.h"

namespace lmp_uq {
namespace LMP_UQ_ISA {

template <class T> LMP_UQ_INLINE void load_rows(const T *from, int n, std::size_t stride, Vector<T> *to)
{
  for (int s = 0; s < n; ++s) to[s] = load(from + s * stride);
}

// B_o = sum of coefficients times products of one, two and three A
template <class T> LMP_UQ_INLINE Vector<T> polynomial(const Polynomial &p, int o, const Vector<T> *a, const T *&coefficient)
{
  Vector<T> out{};
  for (int q = p.linear_start[o]; q < p.linear_start[o + 1]; ++q, coefficient += block<T>()) out += load(coefficient) * a[p.linear[q]];
  for (int q = p.pair_start[o]; q < p.pair_start[o + 1]; ++q) {
    Vector<T> sum = load(coefficient);
    coefficient += block<T>();
    for (int r = p.third_start[q]; r < p.third_start[q + 1]; ++r, coefficient += block<T>()) sum += load(coefficient) * a[p.third[r]];
    out += a[p.pair[2 * q]] * a[p.pair[2 * q + 1]] * sum;
  }
  return out;
}

template <class T> void product_forward(const ProductForward<T> &a)
{
  const Polynomial &p = a.polynomial;
  const std::size_t n_channels = a.n_channels;
  for_channels<T>(a.n_channels, [&](const Channels &c) LMP_UQ_ALWAYS {
    for (int i = 0; i < a.n_rows; ++i) {
      const T *coefficient = a.coefficients + static_cast<std::size_t>(c.block) * p.n_coefficients * block<T>() + c.part;
      Vector<T> in[MAX_HARMONICS];
      load_rows(a.in + i * p.n_in * n_channels + c.first, p.n_in, n_channels, in);
      for (int o = 0; o < p.n_out; ++o)
        store(a.out + (i * static_cast<std::size_t>(p.n_out) + o) * n_channels + c.first, polynomial<T>(p, o, in, coefficient));
    }
  });
}

// dB_o/dA_s, added to `jacobian`
template <class T>
LMP_UQ_INLINE void polynomial_jacobian(const Polynomial &p, int o, const Vector<T> *a, const T *&coefficient, Vector<T> *jacobian)
{
  for (int q = p.linear_start[o]; q < p.linear_start[o + 1]; ++q, coefficient += block<T>()) jacobian[p.linear[q]] += load(coefficient);
  for (int q = p.pair_start[o]; q < p.pair_start[o + 1]; ++q) {
    const int first = p.pair[2 * q], second = p.pair[2 * q + 1];
    const Vector<T> pair = a[first] * a[second];
    Vector<T> sum = load(coefficient);
    coefficient += block<T>();
    for (int r = p.third_start[q]; r < p.third_start[q + 1]; ++r, coefficient += block<T>()) {
      const Vector<T> c = load(coefficient);
      sum += c * a[p.third[r]];
      jacobian[p.third[r]] += c * pair;
    }
    jacobian[first] += sum * a[second];
    jacobian[second] += sum * a[first];
  }
}

template <class T> LMP_UQ_INLINE double lane_sum(Vector<T> v)
{
  double sum = 0.0;
  for (int k = 0; k < Simd<T>::width; ++k) sum += static_cast<double>(v[k]);
  return sum;
}

template <class T> LMP_UQ_INLINE void product_reverse_row(const ProductReverse<T> &a, int i, const Channels &c)
{
  const Polynomial &p = a.polynomial;
  const std::size_t n_channels = a.n_channels;
  const T *coefficient = a.coefficients + static_cast<std::size_t>(c.block) * p.n_coefficients * block<T>() + c.part;
  Vector<T> in[MAX_HARMONICS], jacobian[MAX_OUTPUTS][MAX_HARMONICS];
  load_rows(a.in + i * p.n_in * n_channels + c.first, p.n_in, n_channels, in);
  for (int o = 0; o < p.n_out; ++o) {
    for (int s = 0; s < p.n_in; ++s) jacobian[o][s] = Vector<T>{};
    polynomial_jacobian<T>(p, o, in, coefficient, jacobian[o]);
  }
  for (int set = 0; set < a.n_sets; ++set) {
    const T *g = a.gradient + set * a.set_stride + i * p.n_out * n_channels + c.first;
    T *out = a.in_gradient + set * a.in_set_stride + i * p.n_in * n_channels + c.first;
    Vector<T> overlap{}, g_o[MAX_OUTPUTS];
    load_rows(g, p.n_out, n_channels, g_o);
    for (int s = 0; s < p.n_in; ++s) {
      Vector<T> sum{};
      for (int o = 0; o < p.n_out; ++o) sum += g_o[o] * jacobian[o][s];
      overlap += sum * in[s];
      store(out + s * n_channels, sum * a.scale[i]);
    }
    a.overlap[static_cast<std::size_t>(set) * a.n_rows + i] += lane_sum<T>(overlap);
  }
}

template <class T> void product_reverse(const ProductReverse<T> &a)
{
  for_channels<T>(a.n_channels, [&](const Channels &c) LMP_UQ_ALWAYS {
    for (int i = 0; i < a.n_rows; ++i) product_reverse_row(a, i, c);
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
  constexpr int wide = LMP_UQ_VECTOR_BYTES == 64 ? 4 : 2;    // vectors of a tile: 6 x 4 of 32 registers, 6 x 2 of 16
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
