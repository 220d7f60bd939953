// SPDX-License-Identifier: GPL-2.0-or-later
// The gate of nonlinear layers and its transpose, and what a centre's norm gets of it.
#include "mace/cuda/edge_loop.h"
#include "mace/cuda/threads.h"

#include "formulas/activations.h"

namespace lmp_uq::cuda {

template <class T> __global__ void close_gate_kernel(CloseGate<T> a)
{
  const std::size_t k = thread_number(), width = a.n_channels;
  if (k >= a.n_rows * width) return;
  const int l_max = a.constants.l_max, n_y = (l_max + 1) * (l_max + 1);
  const T *in = a.in + k / width * (n_y + l_max) * width + k % width;
  T *out = a.out + k / width * n_y * width + k % width;
  out[0] = static_cast<T>(silu(static_cast<double>(in[0]), a.constants.silu));
  for (int l = 1; l <= l_max; ++l) {
    const T gate = static_cast<T>(gate_of(in[(n_y + l - 1) * width], a.constants.sigmoid).value);
    for (int s = l * l; s < (l + 1) * (l + 1); ++s) out[s * width] = gate * in[s * width];
  }
}

template <class T> __global__ void open_gate_kernel(OpenGate<T> a)
{
  const std::size_t k = thread_number(), width = a.n_channels;
  if (k >= a.n_sets * a.n_rows * width) return;
  const int l_max = a.constants.l_max, n_y = (l_max + 1) * (l_max + 1);
  const std::size_t row = k / width;
  const T *in = a.in + row % a.n_rows * (n_y + l_max) * width + k % width, *gradient = a.gradient + row * n_y * width + k % width;
  T *out = a.out + row * (n_y + l_max) * width + k % width;
  out[0] = static_cast<T>(silu_slope(in[0], a.constants.silu * gradient[0]));
  for (int l = 1; l <= l_max; ++l) {
    const Gate gate = gate_of(in[(n_y + l - 1) * width], a.constants.sigmoid);
    T along = 0;
    for (int s = l * l; s < (l + 1) * (l + 1); ++s) {
      along += in[s * width] * gradient[s * width];
      out[s * width] = static_cast<T>(gate.value) * gradient[s * width];
    }
    out[(n_y + l - 1) * width] = static_cast<T>(gate.slope) * along;
  }
}

template <class T> __global__ void row_overlap_kernel(RowOverlap<T> a)
{
  const Share me = share_of_warp(1);
  if (me.thing >= a.n_rows * a.n_sets) return;
  const T *first = a.a + me.thing % a.n_rows * a.size, *second = a.b + me.thing * a.size;
  double sum = 0.0;
  for (std::size_t k = me.lane; k < a.size; k += LANES) sum += static_cast<double>(first[k]) * static_cast<double>(second[k]);
  sum = warp_sum(sum);
  double &overlap = a.overlap[me.thing / a.n_rows * a.set_stride + me.thing % a.n_rows];
  if (me.lane == 0) overlap = a.add ? overlap + a.factor * sum : a.factor * sum;
}

template <class T> __global__ void constant_overlap_kernel(ConstantOverlap<T> a)
{
  const Share me = share_of_warp(1);
  if (me.thing >= a.n_rows * a.n_sets) return;
  const int row = me.thing % a.n_rows, n_y = (a.l_max + 1) * (a.l_max + 1);
  const T *constant = a.constant[a.element[row]], *gradient = a.gradient + static_cast<std::size_t>(me.thing) * a.n_components * a.n_channels;
  double sum = 0.0;
  for (int part = 0; part <= a.l_max; ++part)
    for (int c = me.lane; c < a.n_channels; c += LANES)
      sum += static_cast<double>(constant[part * a.n_channels + c]) * static_cast<double>(gradient[(part ? n_y + part - 1 : 0) * a.n_channels + c]);
  sum = warp_sum(sum);
  if (me.lane == 0) a.overlap[me.thing / a.n_rows * a.set_stride + row] -= sum;
}

template <class T> __global__ void scale_rows_kernel(ScaleRows<T> a)
{
  const std::size_t k = thread_number(), row = k / a.size;
  if (row >= static_cast<std::size_t>(a.n_rows) * a.n_sets) return;
  a.rows[k] *= static_cast<T>(a.scale[row % a.n_rows]);
  if (k % a.size == 0) a.overlap[row / a.n_rows * a.set_stride + row % a.n_rows] *= a.factor;
}

template <class T> void close_gate(const CloseGate<T> &a, cudaStream_t stream)
{
  launch_threads(close_gate_kernel<T>, static_cast<std::size_t>(a.n_rows) * a.n_channels, stream, a);
}

template <class T> void open_gate(const OpenGate<T> &a, cudaStream_t stream)
{
  launch_threads(open_gate_kernel<T>, static_cast<std::size_t>(a.n_sets) * a.n_rows * a.n_channels, stream, a);
}

template <class T> void row_overlap(const RowOverlap<T> &a, cudaStream_t stream)
{
  launch(stream, row_overlap_kernel<T>, blocks_for(static_cast<std::size_t>(a.n_rows) * a.n_sets), WARPS * LANES, 0, a);
}

template <class T> void constant_overlap(const ConstantOverlap<T> &a, cudaStream_t stream)
{
  launch(stream, constant_overlap_kernel<T>, blocks_for(static_cast<std::size_t>(a.n_rows) * a.n_sets), WARPS * LANES, 0, a);
}

template <class T> void scale_rows(const ScaleRows<T> &a, cudaStream_t stream)
{
  launch_threads(scale_rows_kernel<T>, static_cast<std::size_t>(a.n_rows) * a.n_sets * a.size, stream, a);
}

#define LMP_UQ_GATE(T)                                                     \
  template void close_gate<T>(const CloseGate<T> &, cudaStream_t);         \
  template void open_gate<T>(const OpenGate<T> &, cudaStream_t);           \
  template void row_overlap<T>(const RowOverlap<T> &, cudaStream_t);       \
  template void constant_overlap<T>(const ConstantOverlap<T> &, cudaStream_t); \
  template void scale_rows<T>(const ScaleRows<T> &, cudaStream_t);
LMP_UQ_GATE(float)
LMP_UQ_GATE(double)

}    // namespace lmp_uq::cuda
