// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_UQ_POLYNOMIAL_H
#define LMP_UQ_POLYNOMIAL_H

namespace lmp_uq {

// Sparse polynomials in the components A_s: for each output, coefficients in this order: linear factors, then for each pair its own
// and those of the third factors.
struct Polynomial {
  int n_in, n_out, n_coefficients;
  const int *linear_start;         // (n_out+1)
  const int *linear;               // factor
  const int *pair_start;           // (n_out+1)
  const int *pair;                 // (n_pairs, 2) factors
  const int *third_start;          // (n_pairs+1)
  const int *third;                // factor
};

}    // namespace lmp_uq
#endif
