// SPDX-License-Identifier: GPL-2.0-or-later
// The symmetric contraction as sparse polynomials, and its transpose. A factor's number comes from an index list, so what a lane needs of
// its atom lies in a column of shared memory that no other lane looks at.
#include "mace/cuda/edge_loop.h"

namespace lmp_uq::cuda {

template <class T> struct Columns { T of[WARPS][MAX_HARMONICS][LANES]; };

// a lane's column of one array: factor s lies at s * LANES
template <class T> __device__ inline T polynomial_value(const Polynomial &p, int o, const T *a, const T *&coefficient)
{
  T out = 0;
  for (int q = p.linear_start[o]; q < p.linear_start[o + 1]; ++q, coefficient += LANES) out += *coefficient * a[p.linear[q] * LANES];
  for (int q = p.pair_start[o]; q < p.pair_start[o + 1]; ++q) {
    T sum = *coefficient;
    coefficient += LANES;
    for (int t = p.third_start[q]; t < p.third_start[q + 1]; ++t, coefficient += LANES) sum += *coefficient * a[p.third[t] * LANES];
    out += a[p.pair[2 * q] * LANES] * a[p.pair[2 * q + 1] * LANES] * sum;
  }
  return out;
}

// gradient += g * d(output o)/d(factors)
template <class T> __device__ inline void add_gradient(const Polynomial &p, int o, const T *a, T g, const T *&coefficient, T *gradient)
{
  for (int q = p.linear_start[o]; q < p.linear_start[o + 1]; ++q, coefficient += LANES) gradient[p.linear[q] * LANES] += g * *coefficient;
  for (int q = p.pair_start[o]; q < p.pair_start[o + 1]; ++q) {
    const int first = p.pair[2 * q] * LANES, second = p.pair[2 * q + 1] * LANES;
    const T pair = g * (a[first] * a[second]);
    T sum = *coefficient;
    coefficient += LANES;
    for (int t = p.third_start[q]; t < p.third_start[q + 1]; ++t, coefficient += LANES) {
      const int third = p.third[t] * LANES;
      sum += *coefficient * a[third];
      gradient[third] += *coefficient * pair;
    }
    gradient[first] += g * (sum * a[second]);
    gradient[second] += g * (sum * a[first]);
  }
}

template <class T> __device__ inline const T *coefficients_of(const T *of_element, const Polynomial &p, const Share &me)
{
  return of_element + static_cast<std::size_t>(me.block) * p.n_coefficients * LANES + me.lane;
}

template <class T> __global__ void __launch_bounds__(WARPS * LANES) product_forward_kernel(ProductForward<T> a)
{
  LMP_UQ_SHARED(Columns<T>, columns);
  const Share me = share_of_rows(a.n_rows);
  if (me.block >= a.n_blocks) return;
  const std::size_t width = static_cast<std::size_t>(a.n_blocks) * LANES, channel = me.block * LANES + me.lane;
  T *factors = columns.of[me.warp][0] + me.lane;
  for (int s = 0; s < a.polynomial.n_in; ++s) factors[s * LANES] = a.in[(static_cast<std::size_t>(me.thing) * a.polynomial.n_in + s) * width + channel];
  const T *coefficient = coefficients_of(a.coefficients[a.element[me.thing]], a.polynomial, me);
  for (int o = 0; o < a.polynomial.n_out; ++o)
    a.out[(static_cast<std::size_t>(me.thing) * a.polynomial.n_out + o) * width + channel] = polynomial_value(a.polynomial, o, factors, coefficient);
}

template <class T> __global__ void __launch_bounds__(WARPS * LANES) product_reverse_kernel(ProductReverse<T> a)
{
  LMP_UQ_SHARED(Columns<T>, columns);
  LMP_UQ_SHARED(Columns<T>, gradients);
  const Share me = share_of_rows(a.n_sets * a.n_rows);
  const int row = me.thing % a.n_rows;
  if (me.block >= a.n_blocks) return;
  const Polynomial &p = a.polynomial;
  const std::size_t width = static_cast<std::size_t>(a.n_blocks) * LANES, channel = me.block * LANES + me.lane;
  T *factors = columns.of[me.warp][0] + me.lane, *gradient = gradients.of[me.warp][0] + me.lane;
  for (int s = 0; s < p.n_in; ++s) {
    factors[s * LANES] = a.in[(static_cast<std::size_t>(row) * p.n_in + s) * width + channel];
    gradient[s * LANES] = 0;
  }
  const T *coefficient = coefficients_of(a.coefficients[a.element[row]], p, me);
  for (int o = 0; o < p.n_out; ++o)
    add_gradient(p, o, factors, a.gradient[(static_cast<std::size_t>(me.thing) * p.n_out + o) * width + channel], coefficient, gradient);
  const T scale = a.scale ? static_cast<T>(a.scale[row]) : T(1);
  double overlap = 0.0;
  for (int s = 0; s < p.n_in; ++s) {
    overlap += static_cast<double>(gradient[s * LANES] * factors[s * LANES]);
    a.in_gradient[(static_cast<std::size_t>(me.thing) * p.n_in + s) * width + channel] = gradient[s * LANES] * scale;
  }
  overlap = warp_sum(overlap);
  if (me.lane == 0) a.overlap[static_cast<std::size_t>(me.thing) * a.n_blocks + me.block] = overlap;
}

template <class T> void product_forward(const ProductForward<T> &a, cudaStream_t stream)
{
  launch(stream, product_forward_kernel<T>, blocks_for(static_cast<std::size_t>(a.n_rows) * a.n_blocks), WARPS * LANES, 0, a);
}

template <class T> void product_reverse(const ProductReverse<T> &a, cudaStream_t stream)
{
  launch(stream, product_reverse_kernel<T>, blocks_for(static_cast<std::size_t>(a.n_sets) * a.n_rows * a.n_blocks), WARPS * LANES, 0, a);
}

template void product_forward<float>(const ProductForward<float> &, cudaStream_t);
template void product_forward<double>(const ProductForward<double> &, cudaStream_t);
template void product_reverse<float>(const ProductReverse<float> &, cudaStream_t);
template void product_reverse<double>(const ProductReverse<double> &, cudaStream_t);

}    // namespace lmp_uq::cuda
