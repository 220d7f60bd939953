// SPDX-License-Identifier: GPL-2.0-or-later
#include "packed_matrix.h"

namespace lmp_uq {

PackedMatrix::PackedMatrix(int depth, int n_columns, const std::function<double(int, int)> &entry) : depth_(depth), n_columns_(n_columns)
{
  const std::size_t n_panels = (static_cast<std::size_t>(n_columns) + PANEL - 1) / PANEL;
  panels_.zero(n_panels * depth * PANEL);
  for (int c = 0; c < n_columns; c++)
    for (int k = 0; k < depth; k++) panels_[(static_cast<std::size_t>(c / PANEL) * depth + k) * PANEL + c % PANEL] = entry(k, c);
}

void PackedMatrix::multiply(int n_rows, const double *a, std::size_t a_stride, double *c) const
{
  for (int first = 0; first < n_columns_; first += PANEL) {
    const double *panel = panels_.data() + static_cast<std::size_t>(first) * depth_;
    const int width = stride() - first < PANEL ? stride() - first : PANEL;
    for (int row = 0; row < n_rows; row++) {
      double sums[PANEL] = {};
      for (int k = 0; k < depth_; k++)
        for (int column = 0; column < PANEL; column++) sums[column] += a[row * a_stride + k] * panel[k * PANEL + column];
      for (int column = 0; column < width; column++) c[static_cast<std::size_t>(row) * stride() + first + column] = sums[column];
    }
  }
}

}    // namespace lmp_uq
