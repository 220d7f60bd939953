// SPDX-License-Identifier: GPL-2.0-or-later
// The radial functions of a pair of elements as piecewise polynomials: what a table holds, before a processor lays it out.
#ifndef LMP_UQ_RADIAL_KNOTS_H
#define LMP_UQ_RADIAL_KNOTS_H

#include "formulas/radial_polynomial.h"
#include "mace/radial.h"

#include <memory>
#include <vector>

namespace lmp_uq {

// Hermite interpolation from `low` to the cutoff (see hermite): value and two derivatives are those of the functions at the knots, and the
// derivative of a table is the derivative of its value everywhere. Each of N_SPANS equal spans has as many knots as it needs. Kept are the
// polynomials of the few hidden functions: those of all columns are sums of them.
class RadialKnots {
 public:
  // tolerance: largest error of a derivative over the largest derivative in the outer three quarters of the range
  // n_coefficients: 6 or 8, of a polynomial
  RadialKnots(const RadialFunctions &functions, int centre, int source, double cutoff, double tolerance, int n_coefficients);

  const RadialSpans &spans() const { return spans_; }
  int n_intervals() const { return n_intervals_of(spans_); }
  int n_coefficients() const { return n_coefficients_; }
  int n_columns() const { return n_columns_; }
  double slope_scale() const { return slope_scale_; }                      // largest derivative of a column, 1/Angstrom
  const Matrix &hidden() const { return hidden_; }                         // (n_intervals, n_coefficients, n_hidden)
  const Matrix &columns() const { return *columns_; }                      // (n_hidden, n_columns)
  // value and derivative with respect to t of a polynomial whose coefficients stand `stride` numbers apart
  void polynomial_at(const double *c, std::size_t stride, double t, double &value, double &slope) const;
  const Matrix &density() const { return density_; }                       // (n_intervals, n_coefficients)
  Matrix coefficients(int first, int n) const { return times(hidden_, *columns_, n_columns_, first, n); }    // of n columns: (n_intervals, n_coefficients, n)

 private:
  struct Piecewise {                                                       // of one span
    Matrix hidden, density;                                                // (pieces, n_coefficients, n_hidden), (pieces, n_coefficients)
  };
  Piecewise interpolated(const RadialFunctions &functions, double first, int pieces) const;
  double worst(const RadialFunctions &functions, const Piecewise &polynomials, double first, int pieces) const;
  double slope(const double *c, std::size_t stride, double t) const;
  void set_scales(const RadialFunctions &functions);
  void add_span(const RadialFunctions &functions, int k, double tolerance);

  int centre_, source_, n_columns_, n_coefficients_;
  RadialSpans spans_;
  double slope_scale_ = 1e-300, density_scale_ = 1e-300;                   // largest derivatives
  std::shared_ptr<const Matrix> columns_;
  Matrix hidden_, density_;
};

}    // namespace lmp_uq
#endif
