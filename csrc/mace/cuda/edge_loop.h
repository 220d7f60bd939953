// SPDX-License-Identifier: GPL-2.0-or-later
// What the loops over edges have in common.
#ifndef LMP_UQ_CUDA_EDGE_LOOP_H
#define LMP_UQ_CUDA_EDGE_LOOP_H

#include "formulas/paths.h"
#include "mace/cuda/kernels.h"

#include <stdexcept>
#include <string>

namespace lmp_uq::cuda {

template <int I> struct Index { static constexpr int value = I; };
template <int N, int I = 0, class F> __device__ inline void unroll(const F &f)
{
  if constexpr (I < N) {
    f(Index<I>{});
    unroll<N, I + 1>(f);
  }
}

// The warp's share of a launch over `n` things times n_blocks blocks of channels, and its lane.
struct Share {
  int thing, block, lane, warp;
};

__device__ inline Share share_of_warp(int n_blocks)
{
  const int warp = threadIdx.x / LANES, item = blockIdx.x * (blockDim.x / LANES) + warp;
  return {item / n_blocks, item % n_blocks, static_cast<int>(threadIdx.x) % LANES, warp};
}

// The same with the blocks of channels outside: warps of a thread block read the same coefficients.
__device__ inline Share share_of_rows(int n_things)
{
  const int warp = threadIdx.x / LANES, item = blockIdx.x * (blockDim.x / LANES) + warp;
  return {item % n_things, item / n_things, static_cast<int>(threadIdx.x) % LANES, warp};
}

inline int blocks_for(std::size_t n_warps, int warps = WARPS) { return static_cast<int>((n_warps + warps - 1) / warps); }

template <class T> __device__ inline T radial(const T *row, int p, T t)
{
  T value, slope;
  const T *c = row + p * n_coefficients<T>() * LANES;
  polynomial<n_coefficients<T>()>([&](int power) { return c[power * LANES]; }, t, value, slope);
  return value;
}

template <class T> __device__ inline void radial(const T *row, int p, T t, T &value, T &slope)
{
  const T *c = row + p * n_coefficients<T>() * LANES;
  polynomial<n_coefficients<T>()>([&](int power) { return c[power * LANES]; }, t, value, slope);
}

struct Arrow {
  double length, direction[3];         // Angstrom
};
__device__ inline Arrow arrow(const Edges &edges, std::size_t e)
{
  const double *v = edges.vector + 3 * e, length = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
  return {length, {v[0] / length, v[1] / length, v[2] / length}};
}

// a lane's row of an edge's table
template <class T> __device__ inline const T *radial_row(const EdgeBatch<T> &edges, int e, int n_functions, const Share &me)
{
  return edges.row[e] + static_cast<std::size_t>(me.block) * n_functions * n_coefficients<T>() * LANES + me.lane;
}

// Sums over the lanes of 16 numbers. The numbers change places through shared memory: lane s and lane s + 16 get number s of all lanes.
constexpr int SUMS = MAX_HARMONICS, SUM_ROW = LANES + 1;
constexpr int SUM_TILE = SUMS * SUM_ROW;    // numbers of shared memory that a warp needs for it

template <class T> __device__ inline T lane_sums(const T (&v)[SUMS], T *tile, int lane)
{
#pragma unroll
  for (int s = 0; s < SUMS; ++s) tile[s * SUM_ROW + lane] = v[s];
  __syncwarp();
  const T *mine = tile + lane % SUMS * SUM_ROW + lane / SUMS * SUMS;
  T sum = mine[0];
#pragma unroll
  for (int k = 1; k < SUMS; ++k) sum += mine[k];
  __syncwarp();    // before the tile is written again
  return sum + __shfl_xor_sync(WHOLE_WARP, sum, SUMS);
}

// f(Index<degree>), of the degrees FIRST to LAST that kernels are made for
template <int FIRST, int LAST, class F> void for_degree(int degree, const F &f)
{
  if (degree == FIRST) return f(Index<FIRST>{});
  if constexpr (FIRST < LAST) return for_degree<FIRST + 1, LAST>(degree, f);
  throw std::runtime_error("no kernel for degree " + std::to_string(degree));
}

template <class F> void for_l_max(int l_max, const F &f) { for_degree<1, MAX_DEGREE>(l_max, f); }             // of harmonics
template <class F> void for_l_in(int l_in, const F &f) { for_degree<0, MAX_FEATURE_DEGREE>(l_in, f); }        // of features

}    // namespace lmp_uq::cuda
#endif
