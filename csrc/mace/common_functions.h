// SPDX-License-Identifier: GPL-2.0-or-later
// The radial functions of a pair of elements as sums of a few that they have in common.
#ifndef LMP_UQ_COMMON_FUNCTIONS_H
#define LMP_UQ_COMMON_FUNCTIONS_H

#include "mace/radial_knots.h"

namespace lmp_uq {

// R_k(r) = sum_q S_q(r) T_qk for all columns k of a table. The S_q are columns of the table itself, made orthogonal one after the other
// (Gram-Schmidt, the column that is worst described first) on values and derivatives inside its intervals, so there are never more of them
// than hidden functions, which would be exact, and mostly far fewer.
class CommonFunctions {
 public:
  // tolerance: largest error of a derivative over the largest derivative, as of the table; that of a value counts over 1 Angstrom
  CommonFunctions(const RadialKnots &knots, double tolerance);

  int n() const { return n_; }
  const Matrix &coefficients() const { return coefficients_; }    // of S: (n_intervals, n_coefficients, n)
  const Matrix &columns() const { return columns_; }              // T: (n, n_columns)

 private:
  int n_ = 0;
  Matrix coefficients_, columns_;
};

}    // namespace lmp_uq
#endif
