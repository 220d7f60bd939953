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

}    // namespace lmp_uq
#endif
