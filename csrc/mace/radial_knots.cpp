// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/radial_knots.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace lmp_uq {

namespace {

constexpr int FIRST_PIECES = 4, MOST_PIECES = 256;    // of a span
constexpr double NEARLY = 0.2;                        // a piece that may be spared by an estimate is tried
// where the error of the derivative is largest, that of t^3 (1-t)^3 for 6 coefficients, of t^3 (1-t)^3 (t-1/2)^2 for 8
constexpr double CHECKED[] = {0.13, 0.3, 0.7, 0.87};
constexpr int N_CHECKED = 4;

double largest(const std::vector<double> &numbers)
{
  double out = 0.0;
  for (double number : numbers) out = std::max(out, std::abs(number));
  return out;
}

}    // namespace

RadialKnots::RadialKnots(const RadialFunctions &functions, int centre, int source, double cutoff, double tolerance, int n_coefficients)
    : centre_(centre), source_(source), n_columns_(functions.n_columns()), n_coefficients_(n_coefficients), columns_(functions.columns(centre, source))
{
  spans_.low = functions.lowest(centre, source);
  spans_.length = (cutoff - spans_.low) / N_SPANS;
  set_scales(functions);
  for (int k = 0; k < N_SPANS; ++k) add_span(functions, k, tolerance);
}

// distances that hardly occur do not set the scale
void RadialKnots::set_scales(const RadialFunctions &functions)
{
  std::vector<double> distances;
  for (int k = N_SPANS / 4; k < N_SPANS; ++k) distances.push_back(spans_.low + k * spans_.length);
  const RadialFunctions::Hidden at = functions.hidden(distances, centre_, source_);
  slope_scale_ = std::max(slope_scale_, largest(times(at.first, *columns_, n_columns_)));
  for (const Jet &density : at.density) density_scale_ = std::max(density_scale_, std::abs(density.first));
}

// As few pieces as keep to the tolerance. The error falls with their number to the power of the polynomials' degree, where they are small.
void RadialKnots::add_span(const RadialFunctions &functions, int k, double tolerance)
{
  const double first = spans_.low + k * spans_.length;
  int pieces = k ? spans_.pieces[k - 1] : FIRST_PIECES;
  double error = 0.0;
  const auto tried = [&](int n) {
    Piecewise out = interpolated(functions, first, n);
    error = worst(functions, out, first, n);
    return out;
  };
  const auto needed = [&] { return pieces * std::pow(error / tolerance, 1.0 / (n_coefficients_ - 1)); };
  Piecewise found = tried(pieces);
  while (error > tolerance && pieces < MOST_PIECES) {
    pieces = std::min({MOST_PIECES, 4 * pieces, std::max(pieces + 1, static_cast<int>(std::ceil(needed())))});
    found = tried(pieces);
  }
  while (pieces > 1 && needed() < pieces - 1 + NEARLY) {
    const int fewer = std::min(pieces - 1, std::max(1, static_cast<int>(std::ceil(needed() - NEARLY))));
    Piecewise other = tried(fewer);
    if (error > tolerance) break;
    pieces = fewer;
    found = std::move(other);
  }
  spans_.first[k] = k ? spans_.first[k - 1] + spans_.pieces[k - 1] : 0;
  spans_.pieces[k] = pieces;
  hidden_.insert(hidden_.end(), found.hidden.begin(), found.hidden.end());
  density_.insert(density_.end(), found.density.begin(), found.density.end());
}

RadialKnots::Piecewise RadialKnots::interpolated(const RadialFunctions &functions, double first, int pieces) const
{
  const double h = spans_.length / pieces;
  std::vector<double> distances;
  for (int q = 0; q <= 2 * pieces; ++q) distances.push_back(first + 0.5 * q * h);    // knots and middles
  const RadialFunctions::Hidden at = functions.hidden(distances, centre_, source_);
  const std::size_t n = at.value.size() / distances.size(), n_powers = n_coefficients_;
  const auto jet = [&](std::size_t point, std::size_t k) { return Jet{at.value[point * n + k], at.first[point * n + k], at.second[point * n + k]}; };
  Piecewise out;
  out.hidden.resize(pieces * n_powers * n);
  out.density.resize(pieces * n_powers);
  for (std::size_t piece = 0; piece < static_cast<std::size_t>(pieces); ++piece) {
    double c[MOST_COEFFICIENTS];
    for (std::size_t k = 0; k < n; ++k) {
      hermite(jet(2 * piece, k), jet(2 * piece + 1, k), jet(2 * piece + 2, k), h, n_coefficients_, c);
      for (std::size_t power = 0; power < n_powers; ++power) out.hidden[(piece * n_powers + power) * n + k] = c[power];
    }
    hermite(at.density[2 * piece], at.density[2 * piece + 1], at.density[2 * piece + 2], h, n_coefficients_,
            out.density.data() + piece * n_powers);
  }
  return out;
}

void RadialKnots::polynomial_at(const double *c, std::size_t stride, double t, double &value, double &slope) const
{
  const auto of = [&](int power) { return c[power * stride]; };
  if (n_coefficients_ == 6)
    polynomial<6>(of, t, value, slope);
  else
    polynomial<8>(of, t, value, slope);
}

double RadialKnots::slope(const double *c, std::size_t stride, double t) const
{
  double value, slope;
  polynomial_at(c, stride, t, value, slope);
  return slope;
}

// largest error of a derivative over the largest derivative, inside the pieces of a span
double RadialKnots::worst(const RadialFunctions &functions, const Piecewise &polynomials, double first, int pieces) const
{
  const double h = spans_.length / pieces;
  std::vector<double> distances;
  for (int q = 0; q < pieces * N_CHECKED; ++q) distances.push_back(first + (q / N_CHECKED + CHECKED[q % N_CHECKED]) * h);
  RadialFunctions::Hidden exact = functions.hidden(distances, centre_, source_);
  const std::size_t n = exact.value.size() / distances.size();
  double density_error = 0.0;
  for (std::size_t q = 0; q < distances.size(); ++q) {
    const std::size_t power_0 = q / N_CHECKED * n_coefficients_;
    const double t = CHECKED[q % N_CHECKED];
    for (std::size_t k = 0; k < n; ++k) exact.first[q * n + k] -= slope(polynomials.hidden.data() + power_0 * n + k, n, t) / h;
    const double of_density = slope(polynomials.density.data() + power_0, 1, t) / h;
    density_error = std::max(density_error, std::abs(exact.density[q].first - of_density));
  }
  return std::max(largest(times(exact.first, *columns_, n_columns_)) / slope_scale_, density_error / density_scale_);
}

}    // namespace lmp_uq
