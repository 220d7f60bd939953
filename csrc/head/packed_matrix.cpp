// SPDX-License-Identifier: GPL-2.0-or-later
#include "head/packed_matrix.h"

namespace lmp_uq {

PackedMatrix::PackedMatrix(int depth, int n_columns, const std::function<double(int, int)> &entry)
    : depth_(depth), n_columns_(n_columns), gemm_(kernels<double>(0, 1).gemm)
{
  const std::size_t n_panels = (static_cast<std::size_t>(n_columns) + PANEL - 1) / PANEL;
  panels_.zero(n_panels * depth * PANEL);
  for (int c = 0; c < n_columns; c++)
    for (int k = 0; k < depth; k++) panels_[place(k, c)] = entry(k, c);
}

void PackedMatrix::multiply(int n_rows, const double *a, std::size_t a_stride, double *c) const
{
  const std::size_t c_stride = stride();
  const int columns = stride();
  gemm_({n_rows, depth_, columns, a, {1, a_stride, 0, depth_, 0}, panels_.data(), c, {1, c_stride, 0, columns, 0}, false});
}

}    // namespace lmp_uq
