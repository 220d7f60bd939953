// SPDX-License-Identifier: GPL-2.0-or-later
// A constant matrix that blocks of rows are multiplied with, laid out for the processor.
#ifndef LMP_UQ_PACKED_MATRIX_H
#define LMP_UQ_PACKED_MATRIX_H

#include "mace/cpu/kernels.h"
#include "base/bytes.h"

#include <cstddef>
#include <functional>

namespace lmp_uq {

class PackedMatrix {
 public:
  static constexpr int BLOCK = 48;    // rows that users multiply at once: few enough for the cache, many enough for the matrix
  static constexpr int padded(int n_columns) { return (n_columns + block<double>() - 1) / block<double>() * block<double>(); }

  PackedMatrix() = default;
  // entry(k, c): row k of `depth`, column c of `n_columns`; columns up to padded(n_columns) are 0
  PackedMatrix(int depth, int n_columns, const std::function<double(int, int)> &entry);

  int depth() const { return depth_; }
  double entry(int k, int column) const { return panels_[place(k, column)]; }
  std::size_t n_bytes() const { return bytes_of(panels_); }
  int stride() const { return padded(n_columns_); }    // of a row of the result

  // c (n_rows, stride()) = a (n_rows, depth) b; a row of a begins every a_stride numbers. c is aligned to 64 bytes.
  void multiply(int n_rows, const double *a, std::size_t a_stride, double *c) const;

 private:
  static constexpr int PANEL = 4 * block<double>();
  std::size_t place(int k, int column) const { return (static_cast<std::size_t>(column / PANEL) * depth_ + k) * PANEL + column % PANEL; }

  int depth_ = 0, n_columns_ = 0;
  Aligned<double> panels_;                             // (panel, depth, PANEL)
  void (*gemm_)(const Gemm<double> &) = nullptr;
};

}    // namespace lmp_uq
#endif
