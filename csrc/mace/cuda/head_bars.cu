// SPDX-License-Identifier: GPL-2.0-or-later
// Energy bars and grades: rows of descriptors times a matrix, and for each atom sums over the columns. A block has ATOMS atoms, whose rows lie in
// shared memory; a thread multiplies them with ACROSS columns, and then each warp sums up what belongs to its atoms.
#include "mace/cuda/head_kernels.h"

namespace lmp_uq::cuda {

__device__ inline int first_row() { return static_cast<int>(blockIdx.x) * ATOMS; }

// to (depth, ATOMS); 0 where there is no atom
template <class T> __device__ inline void load_rows(const RowProduct<T> &p, double *to)
{
  const int first = first_row();
  for (int k = threadIdx.x; k < ATOMS * p.depth; k += blockDim.x) {
    const int row = first + k % ATOMS, column = k / ATOMS;
    const double shift = p.shift ? p.shift[column] : 0.0;
    to[k] = row < p.n_rows ? static_cast<double>(p.rows[static_cast<std::size_t>(row) * p.depth + column]) - shift : 0.0;
  }
}

// tile (ATOMS, width): a pass of the product
template <class T> __device__ inline void multiply(const RowProduct<T> &p, int pass, const double *rows, double *tile)
{
  const int width = p.columns.width(), stride = p.columns.stride();
  const double *matrix = p.matrix + pass * width + threadIdx.x;
  double sum[ACROSS][ATOMS] = {};
#pragma unroll 2    // with 4 there would be too few registers for what follows
  for (int k = 0; k < p.depth; ++k, matrix += stride, rows += ATOMS) {
    double b[ACROSS];
#pragma unroll
    for (int q = 0; q < ACROSS; ++q) b[q] = matrix[q * blockDim.x];
#pragma unroll
    for (int a = 0; a < ATOMS; ++a)
#pragma unroll
      for (int q = 0; q < ACROSS; ++q) sum[q][a] += rows[a] * b[q];
  }
#pragma unroll
  for (int a = 0; a < ATOMS; ++a)
#pragma unroll
    for (int q = 0; q < ACROSS; ++q) tile[a * width + q * blockDim.x + threadIdx.x] = sum[q][a];
}

// use(pass, atom, its row of the product) by each lane of the warp that has the atom
template <class T, class F> __device__ inline void for_atoms(const RowProduct<T> &p, double *memory, const F &use)
{
  double *rows = memory, *tile = memory + ATOMS * p.depth;
  load_rows(p, rows);
  for (int pass = 0; pass < p.columns.n_passes; ++pass) {
    __syncthreads();    // the rows are there, and the tile of the pass before has been read
    multiply(p, pass, rows, tile);
    __syncthreads();
    for (int atom = threadIdx.x / WARP; atom < ATOMS; atom += blockDim.x / WARP)
      if (first_row() + atom < p.n_rows) use(pass, atom, tile + atom * p.columns.width());
  }
}

// of n reaches, in every lane of a warp
__device__ inline BoxSums warp_box_sums(const double *reach, int n, int lane)
{
  BoxSums out{0.0, 0.0, 0.0, 0.0};
  for (int k = lane; k < n; k += WARP) out.largest = fmax(out.largest, fabs(reach[k]));
  out.largest = warp_max(out.largest);
  if (!(out.largest > 0.0)) return out;
  for (int k = lane; k < n; k += WARP) add_reach(reach[k], out.largest, out.first, out.second, out.fourth);
  return {out.largest, warp_sum(out.first), warp_sum(out.second), warp_sum(out.fourth)};
}

struct KeptBars {
  BoxSums sums[ATOMS];
  double mean[ATOMS];
};

struct KeptSquares {
  double of[ATOMS];
};

template <class T> __global__ void __launch_bounds__(MOST_THREADS) energy_bars_kernel(EnergyBarsOfAtoms<T> a)
{
  LMP_UQ_DYNAMIC_SHARED(double, memory);
  LMP_UQ_SHARED(KeptBars, kept);
  const int lane = threadIdx.x % WARP, width = a.product.columns.width(), n_passes = a.product.columns.n_passes;
  for_atoms(a.product, memory, [&](int pass, int atom, double *reach) {
    const int row = first_row() + atom, first = pass * width, n_modes = min(max(a.n_modes - first, 0), width);
    const double *bias = a.n_bias ? a.bias + static_cast<std::size_t>(a.n_bias == 1 ? 0 : a.element[row]) * a.product.columns.stride() + first : nullptr;
    for (int k = lane; bias && k < width; k += WARP) reach[k] += bias[k];
    __syncwarp();
    const BoxSums sums = warp_box_sums(reach, n_modes, lane);
    if (lane) return;
    kept.sums[atom] = pass ? joined_sums(kept.sums[atom], sums) : sums;
    if (first <= a.n_modes && a.n_modes < first + width) kept.mean[atom] = reach[a.n_modes - first];
    if (pass + 1 < n_passes) return;
    const EnergyBars bars = lmp_uq::energy_bars(box_bars(kept.sums[atom], a.z), kept.mean[atom], a.energy[row]);
    const int node = a.node[row];
    a.std[node] = bars.std, a.lower[node] = bars.lower, a.upper[node] = bars.upper;
  });
}

template <class T> __global__ void __launch_bounds__(MOST_THREADS) grades_kernel(GradesOfAtoms<T> a)
{
  LMP_UQ_DYNAMIC_SHARED(double, memory);
  LMP_UQ_SHARED(KeptSquares, kept);
  const int lane = threadIdx.x % WARP, width = a.product.columns.width(), n_passes = a.product.columns.n_passes;
  for_atoms(a.product, memory, [&](int pass, int atom, const double *product) {
    double square = 0.0;
    for (int k = lane; k < width; k += WARP) square += product[k] * product[k];
    square = warp_sum(square);
    if (lane) return;
    if (pass) square += kept.of[atom];
    kept.of[atom] = square;
    if (pass + 1 == n_passes) a.grade[a.node[first_row() + atom]] = grade_of(square, a.radius);
  });
}

template <class T, class A> void launch_product(void (*kernel)(A), const RowProduct<T> &p, const A &a, cudaStream_t stream)
{
  const std::size_t shared = sizeof(double) * ATOMS * (static_cast<std::size_t>(p.depth) + p.columns.width());
  launch(stream, kernel, (p.n_rows + ATOMS - 1) / ATOMS, p.columns.threads, shared, a);
}

template <class T> void energy_bars(const EnergyBarsOfAtoms<T> &a, cudaStream_t stream) { launch_product(energy_bars_kernel<T>, a.product, a, stream); }
template <class T> void grades(const GradesOfAtoms<T> &a, cudaStream_t stream) { launch_product(grades_kernel<T>, a.product, a, stream); }

template void energy_bars<float>(const EnergyBarsOfAtoms<float> &, cudaStream_t);
template void energy_bars<double>(const EnergyBarsOfAtoms<double> &, cudaStream_t);
template void grades<float>(const GradesOfAtoms<float> &, cudaStream_t);
template void grades<double>(const GradesOfAtoms<double> &, cudaStream_t);

}    // namespace lmp_uq::cuda
