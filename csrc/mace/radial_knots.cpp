// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/radial_knots.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace lmp_uq {

RadialKnots::RadialKnots(const RadialFunctions &functions, int centre, int source, double cutoff, double tolerance)
{
  const auto at = [&](double r) { return functions.at(r, centre, source); };
  const double low = functions.lowest(centre, source), length = (cutoff - low) / N_SPANS;
  spans_.low = low;
  spans_.length = length;
  Point last = at(low);
  for (int k = 0; k < N_SPANS; ++k) {
    knots_.push_back({last, at(low + (k + 1) * length)});
    last = knots_.back().back();
    if (k < N_SPANS / 4) continue;    // distances that hardly occur do not set the scale
    for (double slope : knots_[k][0].first) slope_scale_ = std::max(slope_scale_, std::abs(slope));
    density_scale_ = std::max(density_scale_, std::abs(knots_[k][0].density.first));
  }
  for (int k = 0; k < N_SPANS; ++k) {
    const double first = low + k * length;
    for (int halving = 0; halving < MOST_HALVINGS && worst(functions, knots_[k], first, centre, source) > tolerance; ++halving) {
      Knots finer;
      const std::size_t n = 2 * (knots_[k].size() - 1);
      for (std::size_t q = 0; q <= n; ++q) finer.push_back(q % 2 ? at(first + q * length / n) : std::move(knots_[k][q / 2]));
      knots_[k] = std::move(finer);
    }
    spans_.first[k] = k ? spans_.first[k - 1] + spans_.pieces[k - 1] : 0;
    spans_.pieces[k] = static_cast<int>(knots_[k].size()) - 1;
  }
}

Jet RadialKnots::jet(const Point &point, int column)
{
  return column < 0 ? point.density : Jet{point.value[column], point.first[column], point.second[column]};
}

double RadialKnots::worst(const RadialFunctions &functions, const Knots &knots, double first, int centre, int source) const
{
  constexpr double t = 0.25;    // near the largest error of the derivative, which vanishes at 0, 1/2 and 1
  const double step = spans_.length / (knots.size() - 1);
  double error = 0.0, density_error = 0.0, c[N_COEFFICIENTS], value, slope;
  for (std::size_t k = 0; k + 1 < knots.size(); ++k) {
    const Point exact = functions.at(first + (k + t) * step, centre, source);
    for (int q = -1; q < static_cast<int>(exact.value.size()); ++q) {
      quintic(jet(knots[k], q), jet(knots[k + 1], q), step, c);
      polynomial([&](int power) { return c[power]; }, t, value, slope);
      double &largest = q < 0 ? density_error : error;
      largest = std::max(largest, std::abs(slope / step - jet(exact, q).first));
    }
  }
  return std::max(error / slope_scale_, density_error / density_scale_);
}

}    // namespace lmp_uq
