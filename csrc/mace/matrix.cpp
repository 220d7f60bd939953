// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/matrix.h"

#include <algorithm>

namespace lmp_uq {

namespace {

constexpr std::size_t ROWS = 2, COLUMNS = 8;    // whose sums stay in registers

// rows x columns sums of products over the depth; a and b: first of the tile
template <std::size_t N>
void tile(const double *a, std::size_t depth, const double *b, std::size_t b_stride, std::size_t n_columns, double *out, std::size_t out_stride)
{
  double sum[N][COLUMNS] = {};
  for (std::size_t k = 0; k < depth; ++k) {
    double column[COLUMNS] = {};
    if (n_columns == COLUMNS)
      for (std::size_t c = 0; c < COLUMNS; ++c) column[c] = b[k * b_stride + c];
    else
      for (std::size_t c = 0; c < n_columns; ++c) column[c] = b[k * b_stride + c];
    for (std::size_t r = 0; r < N; ++r)
      for (std::size_t c = 0; c < COLUMNS; ++c) sum[r][c] += a[r * depth + k] * column[c];
  }
  for (std::size_t r = 0; r < N; ++r) std::copy_n(sum[r], n_columns, out + r * out_stride);
}

}    // namespace

// every number is a sum over the depth in its order, whatever tile it is in
Matrix times(const Matrix &rows, const Matrix &matrix, std::size_t n_columns, std::size_t first, std::size_t n_out)
{
  const std::size_t depth = matrix.size() / n_columns, n = rows.size() / depth;
  Matrix out(n * n_out);
  for (std::size_t c = 0; c < n_out; c += COLUMNS) {
    const std::size_t width = std::min(COLUMNS, n_out - c);
    const double *b = matrix.data() + first + c;
    std::size_t r = 0;
    for (; r + ROWS <= n; r += ROWS) tile<ROWS>(rows.data() + r * depth, depth, b, n_columns, width, out.data() + r * n_out + c, n_out);
    for (; r < n; ++r) tile<1>(rows.data() + r * depth, depth, b, n_columns, width, out.data() + r * n_out + c, n_out);
  }
  return out;
}

Matrix filled_up(const Matrix &rows, const std::vector<std::size_t> &widths, std::size_t wide)
{
  Matrix out;
  for (std::size_t at = 0; at < rows.size();)
    for (std::size_t width : widths) {
      out.insert(out.end(), rows.data() + at, rows.data() + at + width);
      out.resize(out.size() + wide - width, 0.0);
      at += width;
    }
  return out;
}

}    // namespace lmp_uq
