// SPDX-License-Identifier: GPL-2.0-or-later
// Matrix products of strided rows: tiles of 64 x 64 numbers, 8 x 8 in the registers of each of 64 threads.
#include "mace/cuda/edge_loop.h"

namespace lmp_uq::cuda {

constexpr int TILE = 64, DEPTH = 16, SIDE = 8, MICRO = TILE / SIDE;

template <class T> struct Operands {
  T a[DEPTH][TILE + 1], b[DEPTH][TILE];    // a transposed; its rows are written down columns, hence one number more
};

__device__ inline std::size_t row_at(const Rows &rows, int r)
{
  return static_cast<std::size_t>(r / rows.inner) * rows.outer_stride + static_cast<std::size_t>(r % rows.inner) * rows.inner_stride;
}

// what lies outside of the matrices is 0
template <class T> __device__ inline void fetch(const Gemm<T> &g, int first_row, int first_column, int first, Operands<T> &to)
{
  for (int k = threadIdx.x; k < TILE * DEPTH; k += SIDE * SIDE) {
    const int row = k / DEPTH, depth = k % DEPTH;
    const bool inside = first_row + row < g.n_rows && first + depth < g.depth;
    to.a[depth][row] = inside ? g.a[row_at(g.a_rows, first_row + row) + first + depth] : T(0);
  }
  for (int k = threadIdx.x; k < TILE * DEPTH; k += SIDE * SIDE) {
    const int depth = k / TILE, column = k % TILE;
    const bool inside = first_column + column < g.n_columns && first + depth < g.depth;
    to.b[depth][column] = inside ? g.b[static_cast<std::size_t>(first + depth) * g.n_columns + first_column + column] : T(0);
  }
}

template <class T> __device__ inline void multiply(const Operands<T> &in, int x, int y, T (&sum)[MICRO][MICRO])
{
#pragma unroll
  for (int k = 0; k < DEPTH; ++k) {
    T a[MICRO], b[MICRO];
#pragma unroll
    for (int q = 0; q < MICRO; ++q) a[q] = in.a[k][y + q * SIDE], b[q] = in.b[k][x + q * SIDE];
#pragma unroll
    for (int r = 0; r < MICRO; ++r)
#pragma unroll
      for (int c = 0; c < MICRO; ++c) sum[r][c] += a[r] * b[c];
  }
}

template <class T> __global__ void __launch_bounds__(SIDE * SIDE) gemm_kernel(Gemm<T> g)
{
  struct Both { Operands<T> of[2]; };    // one is read while the next is written
  LMP_UQ_SHARED(Both, operands);
  const int n_across = (g.n_columns + TILE - 1) / TILE;
  const int first_row = blockIdx.x / n_across * TILE, first_column = blockIdx.x % n_across * TILE;
  const int x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
  T sum[MICRO][MICRO] = {};
  fetch(g, first_row, first_column, 0, operands.of[0]);
  __syncthreads();
  for (int first = 0, now = 0; first < g.depth; first += DEPTH, now = 1 - now) {
    if (first + DEPTH < g.depth) fetch(g, first_row, first_column, first + DEPTH, operands.of[1 - now]);
    multiply(operands.of[now], x, y, sum);
    __syncthreads();
  }
#pragma unroll
  for (int r = 0; r < MICRO; ++r)
#pragma unroll
    for (int c = 0; c < MICRO; ++c) {
      const int row = first_row + y + r * SIDE, column = first_column + x + c * SIDE;
      if (row >= g.n_rows || column >= g.n_columns) continue;
      T &out = g.c[row_at(g.c_rows, row) + column];
      out = g.add ? out + sum[r][c] : sum[r][c];
    }
}

template <class T> void gemm(const Gemm<T> &g, cudaStream_t stream)
{
  const int n_down = (g.n_rows + TILE - 1) / TILE, n_across = (g.n_columns + TILE - 1) / TILE;
  launch(stream, gemm_kernel<T>, n_down * n_across, SIDE * SIDE, 0, g);
}

template void gemm<float>(const Gemm<float> &, cudaStream_t);
template void gemm<double>(const Gemm<double> &, cudaStream_t);

}    // namespace lmp_uq::cuda
