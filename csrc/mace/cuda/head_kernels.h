// SPDX-License-Identifier: GPL-2.0-or-later
// Kernels of the posterior head: what each needs and gives. All of them work in float64; descriptors come in the engine's numbers. Rows are
// those of a sorted graph; what goes back to the host is by node. Sums have an order that no timing changes.
#ifndef LMP_UQ_CUDA_HEAD_KERNELS_H
#define LMP_UQ_CUDA_HEAD_KERNELS_H

#include "formulas/bars.h"
#include "mace/cuda/kernels.h"

namespace lmp_uq::cuda {

constexpr int ATOMS = 8;              // whose rows a block multiplies with a matrix at once
constexpr int ACROSS = 2;             // columns that a thread has at once
constexpr int MOST_THREADS = 256;

// How a block goes through the columns of a matrix: passes of `threads` times ACROSS. Rows of the matrix are padded with zeros to stride().
struct Columns {
  explicit Columns(int n_columns = 0)
      : n_passes((n_columns + MOST_THREADS * ACROSS - 1) / (MOST_THREADS * ACROSS)),
        threads(n_passes ? ((n_columns + n_passes * ACROSS - 1) / (n_passes * ACROSS) + WARP - 1) / WARP * WARP : 0)
  {
  }
  LMP_UQ_HD int width() const { return threads * ACROSS; }
  LMP_UQ_HD int stride() const { return n_passes * width(); }
  int n_passes, threads;
};

// (descriptors - shift) times a matrix, of the rows of some atoms
template <class T> struct RowProduct {
  int n_rows, depth;                   // depth: P
  const T *rows;                       // (n_rows, depth)
  const double *shift;                 // (depth) or nullptr
  const double *matrix;                // (depth, columns.stride())
  Columns columns;
};

template <class T> struct EnergyBarsOfAtoms {
  RowProduct<T> product;               // columns: the modes, then the mean
  int n_modes, n_bias;
  double z;
  const double *bias;                  // (n_bias, columns.stride())
  const int *element, *node;           // (n_rows)
  const double *energy;                // (n_rows)
  double *std, *lower, *upper;         // by node
};
template <class T> void energy_bars(const EnergyBarsOfAtoms<T> &a, cudaStream_t stream);

// of rows of one element
template <class T> struct GradesOfAtoms {
  RowProduct<T> product;
  double radius;
  const int *node;
  double *grade;                       // by node
};
template <class T> void grades(const GradesOfAtoms<T> &a, cudaStream_t stream);

// values[node[k]] = value
struct SetValues {
  int n;
  const int *node;
  double value;
  double *values;
};
void set_values(const SetValues &a, cudaStream_t stream);

// sums of each ROWS_OF_SUM rows
constexpr std::size_t ROWS_OF_SUM = 256;
inline std::size_t n_sums(std::size_t n_rows) { return (n_rows + ROWS_OF_SUM - 1) / ROWS_OF_SUM; }
template <class T> struct SumRows {
  std::size_t n_rows, n_columns;
  const T *rows;
  double *sums;                        // (n_sums(n_rows), n_columns)
};
template <class T> void sum_rows(const SumRows<T> &a, cudaStream_t stream);

// means of each atom's and its neighbours' values
struct NeighbourMeans {
  Edges edges;
  int n_local;
  const int *node;                     // (n_nodes)
  const double *values;                // (n_nodes) by node
  double *means;                       // (n_local) by node
};
void neighbour_means(const NeighbourMeans &a, cudaStream_t stream);

struct ForceValues {
  std::size_t n;
  ForceColumns variables;
  ForceFormula formula;
  double *values;
};
void force_values(const ForceValues &a, cudaStream_t stream);

struct MemberStd {
  std::size_t n;
  int n_members;
  const double *forces;                // (n, n_members, 3), less those of the model
  double *std;                         // (4, n): |dF|, x, y, z
};
void member_std(const MemberStd &a, cudaStream_t stream);

}    // namespace lmp_uq::cuda
#endif
