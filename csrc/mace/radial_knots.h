// SPDX-License-Identifier: GPL-2.0-or-later
// Where the radial functions of a pair of elements are tabulated, and their values and two derivatives there: what a table holds, before
// a processor lays it out.
#ifndef LMP_UQ_RADIAL_KNOTS_H
#define LMP_UQ_RADIAL_KNOTS_H

#include "formulas/radial_polynomial.h"
#include "mace/radial.h"

#include <vector>

namespace lmp_uq {

// Quintic Hermite interpolation from `low` to the cutoff: value and two derivatives are those of the functions at the knots, and the
// derivative of a table is the derivative of its value everywhere. Each of N_SPANS equal spans is halved as often as it needs.
class RadialKnots {
 public:
  // tolerance: largest error of a derivative over the largest derivative in the outer three quarters of the range
  RadialKnots(const RadialFunctions &functions, int centre, int source, double cutoff, double tolerance);

  const RadialSpans &spans() const { return spans_; }
  int n_intervals() const { return spans_.first[N_SPANS - 1] + spans_.pieces[N_SPANS - 1]; }

  // f(interval, coefficients) on all intervals; coefficients(column, c) gives those of a column, -1: of the density
  template <class F> void for_intervals(const F &f) const
  {
    for (int k = 0; k < N_SPANS; ++k)
      for (int piece = 0; piece < spans_.pieces[k]; ++piece)
        f(spans_.first[k] + piece, [&](int column, double c[N_COEFFICIENTS]) {
          quintic(jet(knots_[k][piece], column), jet(knots_[k][piece + 1], column), spans_.length / spans_.pieces[k], c);
        });
  }

 private:
  static constexpr int MOST_HALVINGS = 7;
  using Point = RadialFunctions::Point;
  using Knots = std::vector<Point>;                             // of one span
  static Jet jet(const Point &point, int column);
  double worst(const RadialFunctions &functions, const Knots &knots, double first, int centre, int source) const;

  RadialSpans spans_;
  double slope_scale_ = 1e-300, density_scale_ = 1e-300;        // largest derivatives there
  std::vector<Knots> knots_;
};

}    // namespace lmp_uq
#endif
