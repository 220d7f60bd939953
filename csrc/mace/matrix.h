// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_UQ_MATRIX_H
#define LMP_UQ_MATRIX_H

#include <cstddef>
#include <vector>

namespace lmp_uq {

using Matrix = std::vector<double>;    // row-major

// rows (n, depth) times matrix (depth, n_columns), of which only columns first..first+n_out are taken: (n, n_out)
Matrix times(const Matrix &rows, const Matrix &matrix, std::size_t n_columns, std::size_t first, std::size_t n_out);
inline Matrix times(const Matrix &rows, const Matrix &matrix, std::size_t n_columns) { return times(rows, matrix, n_columns, 0, n_columns); }

// rows of blocks (n, sum of widths) -> rows of blocks of one width (n, widths.size() * wide), filled up with zeros
Matrix filled_up(const Matrix &rows, const std::vector<std::size_t> &widths, std::size_t wide);

}    // namespace lmp_uq
#endif
