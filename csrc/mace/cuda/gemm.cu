// SPDX-License-Identifier: GPL-2.0-or-later
// Matrix products of strided rows. A thread block makes a tile of 64 x 64 numbers, in steps along the depth: what the next step needs is on
// its way to registers while this one's is multiplied from shared memory.
#include "mace/cuda/edge_loop.h"
#include "mace/cuda/tensor_cores.h"

namespace lmp_uq::cuda {

constexpr int TILE = 64;

template <class T> struct alignas(16) Piece {
  static constexpr int N = 16 / sizeof(T);
  T of[N];
};
template <class T> __device__ inline const Piece<T> &piece(const T *p) { return *reinterpret_cast<const Piece<T> *>(p); }
template <class T> __device__ inline Piece<T> &piece(T *p) { return *reinterpret_cast<Piece<T> *>(p); }

// nullptr: there is no such row
template <class T> __device__ inline T *place_of(T *matrix, const Rows &rows, int row, int n_rows, int column)
{
  if (row >= n_rows) return nullptr;
  return matrix + static_cast<std::size_t>(row / rows.inner) * rows.outer_stride + static_cast<std::size_t>(row % rows.inner) * rows.inner_stride + column;
}

// f(number, row, column) of a thread's pieces of a matrix of ROWS x COLUMNS, which THREADS threads share out
template <class T, int ROWS, int COLUMNS, int THREADS, class F> __device__ inline void each_piece(const F &f)
{
  constexpr int across = COLUMNS / Piece<T>::N;
#pragma unroll
  for (int q = 0; q < ROWS * across / THREADS; ++q) {
    const int k = threadIdx.x + q * THREADS;
    f(q, k / across, k % across * Piece<T>::N);
  }
}

// A thread's share of DEPTH columns of a and rows of b; what lies outside of the matrices is 0
template <class T, int DEPTH, int THREADS> struct Step {
  static constexpr int N = TILE * DEPTH / Piece<T>::N / THREADS;
  const T *of_a[N], *of_b[N];    // of the first step; nullptr: outside
  Piece<T> a[N], b[N];

  __device__ inline Step(const Gemm<T> &g, int first_row, int first_column)
  {
    each_piece<T, TILE, DEPTH, THREADS>([&](int q, int row, int depth) { of_a[q] = place_of(g.a, g.a_rows, first_row + row, g.n_rows, depth); });
    each_piece<T, DEPTH, TILE, THREADS>([&](int q, int depth, int column) {
      of_b[q] = first_column + column < g.n_columns ? g.b + static_cast<std::size_t>(depth) * g.n_columns + first_column + column : nullptr;
    });
  }

  __device__ inline void fetch(const Gemm<T> &g, int first)
  {
    each_piece<T, TILE, DEPTH, THREADS>([&](int q, int, int depth) {
      a[q] = of_a[q] && first + depth < g.depth ? piece(of_a[q] + first) : Piece<T>{};
    });
    each_piece<T, DEPTH, TILE, THREADS>([&](int q, int depth, int) {
      b[q] = of_b[q] && first + depth < g.depth ? piece(of_b[q] + static_cast<std::size_t>(first) * g.n_columns) : Piece<T>{};
    });
  }
};

// Goes along the depth: put(step, buffer) writes to a buffer, multiply(buffer) reads it. One is read while the other is written.
template <class T, int DEPTH, int THREADS, class Put, class Multiply>
__device__ inline void go_deep(const Gemm<T> &g, int first_row, int first_column, const Put &put, const Multiply &multiply)
{
  Step<T, DEPTH, THREADS> step(g, first_row, first_column);
  step.fetch(g, 0);
  put(step, 0);
  __syncthreads();
  for (int first = 0, now = 0; first < g.depth; first += DEPTH, now = 1 - now) {
    const bool more = first + DEPTH < g.depth;
    if (more) step.fetch(g, first + DEPTH);
    multiply(now);
    if (more) put(step, 1 - now);
    __syncthreads();
  }
}

// n times N numbers of a row of c, in columns that are `apart`: all of each N are inside or none
template <int N, class T, class F> __device__ inline void write(const Gemm<T> &g, int row, int column, int n, int apart, const F &sum)
{
  struct alignas(N * sizeof(T)) Numbers { T of[N]; };
  T *to = place_of(g.c, g.c_rows, row, g.n_rows, column);
#pragma unroll
  for (int k = 0; k < n; ++k) {
    if (!to || column + k * apart >= g.n_columns) return;
    Numbers &out = *reinterpret_cast<Numbers *>(to + k * apart), made = g.add ? out : Numbers{};
#pragma unroll
    for (int q = 0; q < N; ++q) made.of[q] += sum(k, q);
    out = made;
  }
}

// ---- 8 x 8 numbers in each of 64 threads

constexpr int SIDE = 8, MICRO = TILE / SIDE, SQUARE = SIDE * SIDE;

template <class T> struct Steps {
  static constexpr int DEPTH = 8;
  T a[2][DEPTH][TILE + Piece<T>::N], b[2][DEPTH][TILE];    // a transposed; its rows are written down columns, hence some numbers more
};

// where a thread's number k of 8 lies in a row of the tile
template <class T> __device__ inline int spread(int thread, int k)
{
  return k / Piece<T>::N * SIDE * Piece<T>::N + thread * Piece<T>::N + k % Piece<T>::N;
}

template <class T> __device__ inline void multiply(const Steps<T> &in, int now, int x, int y, T (&sum)[MICRO][MICRO])
{
  constexpr int n = Piece<T>::N;
#pragma unroll
  for (int k = 0; k < Steps<T>::DEPTH; ++k) {
    Piece<T> a[MICRO / n], b[MICRO / n];
#pragma unroll
    for (int q = 0; q < MICRO / n; ++q) a[q] = piece(&in.a[now][k][spread<T>(y, q * n)]), b[q] = piece(&in.b[now][k][spread<T>(x, q * n)]);
#pragma unroll
    for (int r = 0; r < MICRO; ++r)
#pragma unroll
      for (int c = 0; c < MICRO; ++c) sum[r][c] += a[r / n].of[r % n] * b[c / n].of[c % n];
  }
}

template <class T> __global__ void __launch_bounds__(SQUARE) gemm_kernel(Gemm<T> g)
{
  LMP_UQ_SHARED(Steps<T>, steps);
  constexpr int n = Piece<T>::N, depth = Steps<T>::DEPTH;
  const int n_across = (g.n_columns + TILE - 1) / TILE, x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
  const int first_row = blockIdx.x / n_across * TILE, first_column = blockIdx.x % n_across * TILE;
  T sum[MICRO][MICRO] = {};
  const auto put = [&](const Step<T, depth, SQUARE> &step, int to) {
    each_piece<T, TILE, depth, SQUARE>([&](int q, int row, int d) {
#pragma unroll
      for (int k = 0; k < n; ++k) steps.a[to][d + k][row] = step.a[q].of[k];
    });
    each_piece<T, depth, TILE, SQUARE>([&](int q, int d, int column) { piece(&steps.b[to][d][column]) = step.b[q]; });
  };
  go_deep<T, depth, SQUARE>(g, first_row, first_column, put, [&](int now) { multiply(steps, now, x, y, sum); });
#pragma unroll
  for (int r = 0; r < MICRO; ++r)
    write<n>(g, first_row + spread<T>(y, r), first_column + spread<T>(x, 0), MICRO / n, SIDE * n, [&](int k, int q) { return sum[r][k * n + q]; });
}

// ---- Tensor cores: a number is split into two of TF32, of four products the three largest are taken. 32 x 32 numbers in each of four warps.

constexpr int SPLIT_DEPTH = 16, SPLIT_THREADS = 4 * WARP, DOWN = 2, ACROSS = 4;

struct SplitSteps {
  float a[2][TILE][SPLIT_DEPTH + 4], b[2][SPLIT_DEPTH][TILE + 8];    // lanes of a warp read from all banks
};

template <int N> struct Split { unsigned high[N], low[N]; };

template <int N> __device__ inline void split(Split<N> &out, int k, float v)
{
  out.high[k] = to_tf32(v), out.low[k] = to_tf32(v - __uint_as_float(out.high[k]));
}

// 8 numbers deep. Tensor cores may cut off their sums, so those along the depth are made without them.
__device__ inline void multiply_split(const SplitSteps &in, int now, int k, int row, int column, float (&sum)[DOWN][ACROSS][4])
{
  const int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
  Split<4> a[DOWN];
  Split<2> b[ACROSS];
#pragma unroll
  for (int m = 0; m < DOWN; ++m)
#pragma unroll
    for (int q = 0; q < 4; ++q) split(a[m], q, in.a[now][row + m * 16 + g + q % 2 * 8][k + t + q / 2 * 4]);
#pragma unroll
  for (int n = 0; n < ACROSS; ++n)
#pragma unroll
    for (int q = 0; q < 2; ++q) split(b[n], q, in.b[now][k + t + q * 4][column + n * 8 + g]);
#pragma unroll
  for (int m = 0; m < DOWN; ++m)
#pragma unroll
    for (int n = 0; n < ACROSS; ++n) {
      float products[4] = {};
      multiply_add(products, a[m].low, b[n].high);
      multiply_add(products, a[m].high, b[n].low);
      multiply_add(products, a[m].high, b[n].high);
#pragma unroll
      for (int q = 0; q < 4; ++q) sum[m][n][q] += products[q];
    }
}

__global__ void __launch_bounds__(SPLIT_THREADS) gemm_tf32_kernel(Gemm<float> g)
{
  LMP_UQ_SHARED(SplitSteps, steps);
  const int n_across = (g.n_columns + TILE - 1) / TILE, warp = threadIdx.x / WARP, row = warp / 2 * DOWN * 16, column = warp % 2 * ACROSS * 8;
  const int first_row = blockIdx.x / n_across * TILE, first_column = blockIdx.x % n_across * TILE;
  float sum[DOWN][ACROSS][4] = {};
  const auto put = [&](const Step<float, SPLIT_DEPTH, SPLIT_THREADS> &step, int to) {
    each_piece<float, TILE, SPLIT_DEPTH, SPLIT_THREADS>([&](int q, int r, int d) { piece(&steps.a[to][r][d]) = step.a[q]; });
    each_piece<float, SPLIT_DEPTH, TILE, SPLIT_THREADS>([&](int q, int d, int c) { piece(&steps.b[to][d][c]) = step.b[q]; });
  };
  go_deep<float, SPLIT_DEPTH, SPLIT_THREADS>(g, first_row, first_column, put, [&](int now) {
#pragma unroll
    for (int k = 0; k < SPLIT_DEPTH; k += 8) multiply_split(steps, now, k, row, column, sum);
  });
  const int g_row = threadIdx.x % WARP / 4, pair = threadIdx.x % 4 * 2;
#pragma unroll
  for (int r = 0; r < DOWN * 2; ++r)
    write<2>(g, first_row + row + r * 8 + g_row, first_column + column + pair, ACROSS, 8, [&](int n, int q) { return sum[r / 2][n][r % 2 * 2 + q]; });
}

template <class T> void gemm(const Gemm<T> &g, cudaStream_t stream)
{
  const int n_blocks = ((g.n_rows + TILE - 1) / TILE) * ((g.n_columns + TILE - 1) / TILE);
  if constexpr (sizeof(T) == 4)
    if (g.tf32) return launch(stream, gemm_tf32_kernel, n_blocks, SPLIT_THREADS, 0, g);
  launch(stream, gemm_kernel<T>, n_blocks, SQUARE, 0, g);
}

template void gemm<float>(const Gemm<float> &, cudaStream_t);
template void gemm<double>(const Gemm<double> &, cudaStream_t);

}    // namespace lmp_uq::cuda
