// SPDX-License-Identifier: GPL-2.0-or-later
// Rows of atoms: copies, constants, and the readout with its gradient.
#include "mace/cuda/edge_loop.h"
#include "mace/cuda/threads.h"

#include "mace/architecture.h"

namespace lmp_uq::cuda {

__global__ void add_blocks_kernel(AddBlocks a)
{
  const std::size_t k = thread_number();
  if (k >= static_cast<std::size_t>(a.n_rows) * a.n_sets) return;
  double sum = 0.0;
  for (int b = 0; b < a.n_blocks; ++b) sum += a.parts[k * a.n_blocks + b];
  a.out[k / a.n_rows * a.set_stride + k % a.n_rows] = sum;
}

template <class T> __global__ void copy_rows_kernel(CopyRows<T> a)
{
  const std::size_t k = thread_number();
  if (k >= a.n_rows * a.n) return;
  const T value = a.from[k / a.n * a.from_stride + k % a.n];
  T &to = a.to[k / a.n * a.to_stride + k % a.n];
  to = a.add ? to + value : value;
}

// number k of the packed rows, and where it belongs
template <class T> __device__ inline T &unpacked(const SomeRows<T> &a, std::size_t k)
{
  const std::size_t set = k / a.size / a.n_rows;
  return a.all[set * a.set_stride + a.rows[k / a.size % a.n_rows] * a.size + k % a.size];
}

template <class T> __global__ void fetch_rows_kernel(SomeRows<T> a)
{
  const std::size_t k = thread_number();
  if (k < a.n_sets * a.n_rows * a.size) a.packed[k] = unpacked(a, k);
}

template <class T> __global__ void add_rows_kernel(SomeRows<T> a)
{
  const std::size_t k = thread_number();
  if (k < a.n_sets * a.n_rows * a.size) unpacked(a, k) += a.packed[k];
}

template <class T> __global__ void add_constants_kernel(AddConstants<T> a)
{
  const std::size_t k = thread_number(), width = a.n_channels;
  if (k >= a.n_rows * width) return;
  a.features[(k / width * a.n_components + a.component) * width + k % width] += a.constant[a.element[k / width]][a.part * width + k % width];
}

template <class T> __device__ inline double energy_of(const ReadoutWeights &w, int n_channels, const T *scalars, double *work)
{
  if (w.kind == static_cast<int>(Readout::Linear)) return linear_readout(scalars, n_channels, w.linear);
  if (w.kind == static_cast<int>(Readout::Gated)) return gated_readout(w.gated, scalars, work);
  if (w.kind == static_cast<int>(Readout::Biased)) return twice_gated_readout(w.biased, scalars, work);
  return 0.0;
}

template <class T> __global__ void read_out_kernel(ReadOut<T> a)
{
  const std::size_t row = thread_number();
  if (row >= static_cast<std::size_t>(a.n_rows)) return;
  a.energy[row] += a.scale * energy_of(a.weights, a.n_channels, a.scalars + row * a.stride, a.work + row * 2 * a.weights.gated.n_gate);
}

// slope: d(energy)/d(scalars) of each row
template <class T> __global__ void energy_slopes_kernel(ReadOutGradient<T> a)
{
  const std::size_t row = thread_number();
  if (row >= static_cast<std::size_t>(a.n_rows)) return;
  double *slope = a.slope + row * a.n_channels;
  double *work = a.work + row * 2 * a.weights.gated.n_gate;
  const T *scalars = a.scalars + row * a.n_features;
  const bool linear = a.weights.kind == static_cast<int>(Readout::Linear);
  for (int c = 0; c < a.n_channels; ++c) slope[c] = linear ? a.scale * a.weights.linear[c] : 0.0;
  if (a.weights.kind == static_cast<int>(Readout::Gated)) add_gated_readout_gradient(a.weights.gated, scalars, a.scale, work, slope);
  if (a.weights.kind == static_cast<int>(Readout::Biased)) add_twice_gated_readout_gradient(a.weights.biased, scalars, a.scale, work, slope);
}

template <class T> __global__ void read_out_gradient_kernel(ReadOutGradient<T> a)
{
  const std::size_t k = thread_number(), n_channels = a.n_channels;
  if (k >= a.n_sets * a.n_rows * n_channels) return;
  const std::size_t c = k % n_channels, row = k / n_channels % a.n_rows, set = k / n_channels / a.n_rows;
  const std::size_t place = set * a.n_local + a.node[row];
  const lmp_uq_pull_weights &w = a.weights_of;
  const double energy = w.energies ? w.energies[place] * a.slope[row * n_channels + c] : 0.0;
  double descriptor = w.descriptors ? w.descriptors[place * a.n_features + a.column + c] : 0.0;
  if (w.coefficients) descriptor += w.coefficients[set * a.n_features + a.column + c] * (w.of_atoms ? w.of_atoms[place] : 1.0);
  a.gradient[(set * a.n_rows + row) * a.row_size + c] += static_cast<T>(energy + descriptor);
}

void add_blocks(const AddBlocks &a, cudaStream_t stream) { launch_threads(add_blocks_kernel, static_cast<std::size_t>(a.n_rows) * a.n_sets, stream, a); }
template <class T> void copy_rows(const CopyRows<T> &a, cudaStream_t stream) { launch_threads(copy_rows_kernel<T>, a.n_rows * a.n, stream, a); }

template <class T> void fetch_rows(const SomeRows<T> &a, cudaStream_t stream) { launch_threads(fetch_rows_kernel<T>, a.n_sets * a.n_rows * a.size, stream, a); }
template <class T> void add_rows(const SomeRows<T> &a, cudaStream_t stream) { launch_threads(add_rows_kernel<T>, a.n_sets * a.n_rows * a.size, stream, a); }

template <class T> void add_constants(const AddConstants<T> &a, cudaStream_t stream)
{
  launch_threads(add_constants_kernel<T>, static_cast<std::size_t>(a.n_rows) * a.n_channels, stream, a);
}

template <class T> void read_out(const ReadOut<T> &a, cudaStream_t stream) { launch_threads(read_out_kernel<T>, a.n_rows, stream, a); }

template <class T> void read_out_gradient(const ReadOutGradient<T> &a, cudaStream_t stream)
{
  if (a.weights_of.energies) launch_threads(energy_slopes_kernel<T>, a.n_rows, stream, a);
  launch_threads(read_out_gradient_kernel<T>, static_cast<std::size_t>(a.n_sets) * a.n_rows * a.n_channels, stream, a);
}

template void copy_rows<float>(const CopyRows<float> &, cudaStream_t);
template void copy_rows<double>(const CopyRows<double> &, cudaStream_t);
template void fetch_rows<float>(const SomeRows<float> &, cudaStream_t);
template void fetch_rows<double>(const SomeRows<double> &, cudaStream_t);
template void add_rows<float>(const SomeRows<float> &, cudaStream_t);
template void add_rows<double>(const SomeRows<double> &, cudaStream_t);
template void add_constants<float>(const AddConstants<float> &, cudaStream_t);
template void add_constants<double>(const AddConstants<double> &, cudaStream_t);
template void read_out<float>(const ReadOut<float> &, cudaStream_t);
template void read_out<double>(const ReadOut<double> &, cudaStream_t);
template void read_out_gradient<float>(const ReadOutGradient<float> &, cudaStream_t);
template void read_out_gradient<double>(const ReadOutGradient<double> &, cudaStream_t);

}    // namespace lmp_uq::cuda
