// SPDX-License-Identifier: GPL-2.0-or-later
// What the posterior head sums up or works out without a matrix.
#include "mace/cuda/edge_loop.h"
#include "mace/cuda/head_kernels.h"
#include "mace/cuda/threads.h"

namespace lmp_uq::cuda {

__global__ void set_values_kernel(SetValues a)
{
  const std::size_t k = thread_number();
  if (k < static_cast<std::size_t>(a.n)) a.values[a.node[k]] = a.value;
}

// neighbouring threads have neighbouring columns
template <class T> __global__ void sum_rows_kernel(SumRows<T> a)
{
  const std::size_t k = thread_number(), first = k / a.n_columns * ROWS_OF_SUM;
  if (first >= a.n_rows) return;
  const std::size_t last = first + ROWS_OF_SUM < a.n_rows ? first + ROWS_OF_SUM : a.n_rows;
  double sum = 0.0;
#pragma unroll 8
  for (std::size_t row = first; row < last; ++row) sum += static_cast<double>(a.rows[row * a.n_columns + k % a.n_columns]);
  a.sums[k] = sum;
}

__global__ void neighbour_means_kernel(NeighbourMeans a)
{
  const Share me = share_of_warp(1);
  if (me.thing >= a.n_local) return;
  const int first = a.edges.start[me.thing], last = a.edges.start[me.thing + 1], node = a.node[me.thing];
  double sum = 0.0;
  for (int e = first + me.lane; e < last; e += WARP) sum += a.values[a.node[a.edges.source[e]]];
  sum = warp_sum(sum);
  if (me.lane == 0) a.means[node] = (a.values[node] + sum) / (1.0 + (last - first));
}

__global__ void force_values_kernel(ForceValues a)
{
  const std::size_t k = thread_number();
  if (k < a.n) a.values[k] = value_of(a.formula, a.variables.of(k));
}

__global__ void member_std_kernel(MemberStd a)
{
  const std::size_t k = thread_number();
  if (k >= a.n) return;
  double std[4];
  lmp_uq::member_std(a.forces + 3 * k * a.n_members, a.n_members, std);
  for (int q = 0; q < 4; ++q) a.std[q * a.n + k] = std[q];
}

void set_values(const SetValues &a, cudaStream_t stream) { launch_threads(set_values_kernel, a.n, stream, a); }
template <class T> void sum_rows(const SumRows<T> &a, cudaStream_t stream) { launch_threads(sum_rows_kernel<T>, n_sums(a.n_rows) * a.n_columns, stream, a); }
void neighbour_means(const NeighbourMeans &a, cudaStream_t stream) { launch(stream, neighbour_means_kernel, blocks_for(a.n_local), WARPS * WARP, 0, a); }
void force_values(const ForceValues &a, cudaStream_t stream) { launch_threads(force_values_kernel, a.n, stream, a); }

void member_std(const MemberStd &a, cudaStream_t stream) { launch_threads(member_std_kernel, a.n, stream, a); }

template void sum_rows<float>(const SumRows<float> &, cudaStream_t);
template void sum_rows<double>(const SumRows<double> &, cudaStream_t);

}    // namespace lmp_uq::cuda
