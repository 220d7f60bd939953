// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/common_functions.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace lmp_uq {

namespace {

constexpr double ROUNDING = 1e-15;    // of the largest number: no error is made smaller

// Values and derivatives of the hidden functions (2 n_points, n_hidden) at as many points of each interval as make up its polynomials.
Matrix samples(const RadialKnots &knots)
{
  const Matrix &hidden = knots.hidden();
  const std::size_t n_powers = knots.n_coefficients(), n = hidden.size() / (knots.n_intervals() * n_powers), n_points = n_powers / 2;
  Matrix out;
  for (int span = 0; span < N_SPANS; ++span)
    for (int piece = 0; piece < knots.spans().pieces[span]; ++piece)
      for (std::size_t point = 0; point < n_points; ++point) {
        const double t = 0.5 - 0.5 * std::cos(std::acos(-1.0) * (point + 0.5) / n_points), per_length = knots.spans().pieces[span] / knots.spans().length;
        const double *c = hidden.data() + (knots.spans().first[span] + piece) * n_powers * n;
        const std::size_t at = out.size();
        out.resize(at + 2 * n);
        for (std::size_t k = 0; k < n; ++k) {
          knots.polynomial_at(c + k, n, t, out[at + k], out[at + n + k]);
          out[at + n + k] *= per_length;
        }
      }
  return out;
}

double dot(const Matrix &a, const Matrix &b)
{
  double sum = 0.0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
  return sum;
}

void add(double factor, const Matrix &a, Matrix &to)
{
  for (std::size_t k = 0; k < a.size(); ++k) to[k] += factor * a[k];
}

Matrix column_of(const Matrix &matrix, std::size_t n_columns, std::size_t column)
{
  Matrix out;
  for (std::size_t k = column; k < matrix.size(); k += n_columns) out.push_back(matrix[k]);
  return out;
}

// column of the number that is farthest from 0, and how far
std::size_t worst_column(const Matrix &matrix, std::size_t n_columns, double &largest)
{
  std::size_t at = 0;
  largest = 0.0;
  for (std::size_t k = 0; k < matrix.size(); ++k)
    if (std::abs(matrix[k]) > largest) largest = std::abs(matrix[k]), at = k;
  return at % n_columns;
}

// takes from the rows of `left` what the unit vector explains: its products with the columns
Matrix taken_off(const Matrix &unit, Matrix &left, std::size_t n_columns)
{
  Matrix products(n_columns, 0.0);
  for (std::size_t row = 0; row < unit.size(); ++row)
    for (std::size_t k = 0; k < n_columns; ++k) products[k] += unit[row] * left[row * n_columns + k];
  for (std::size_t row = 0; row < unit.size(); ++row)
    for (std::size_t k = 0; k < n_columns; ++k) left[row * n_columns + k] -= unit[row] * products[k];
  return products;
}

}    // namespace

CommonFunctions::CommonFunctions(const RadialKnots &knots, double tolerance)
{
  const std::size_t n_columns = knots.n_columns(), n_hidden = knots.columns().size() / n_columns;
  Matrix left = times(samples(knots), knots.columns(), n_columns);    // what is not described yet
  for (double &number : left) number /= knots.slope_scale();
  double largest;
  worst_column(left, n_columns, largest);
  const double limit = std::max(tolerance, ROUNDING * largest);
  std::vector<Matrix> units, mixtures;                                // S on the samples, and as sums of hidden functions
  while (units.size() < n_hidden) {
    const std::size_t worst = worst_column(left, n_columns, largest);
    if (largest <= limit) break;
    Matrix unit = column_of(left, n_columns, worst), mixture = column_of(knots.columns(), n_columns, worst);
    for (double &number : mixture) number /= knots.slope_scale();
    for (std::size_t q = 0; q < units.size(); ++q) add(-columns_[q * n_columns + worst] / knots.slope_scale(), mixtures[q], mixture);
    for (std::size_t q = 0; q < units.size(); ++q) {                  // again: rounding has left a little of the others in it
      const double part = dot(units[q], unit);
      add(-part, units[q], unit);
      add(-part, mixtures[q], mixture);
    }
    const double norm = std::sqrt(dot(unit, unit));
    for (double &number : unit) number /= norm;
    for (double &number : mixture) number /= norm;
    for (double product : taken_off(unit, left, n_columns)) columns_.push_back(product * knots.slope_scale());
    units.push_back(std::move(unit));
    mixtures.push_back(std::move(mixture));
  }
  n_ = static_cast<int>(units.size());
  Matrix by_hidden(n_hidden * n_);
  for (std::size_t k = 0; k < by_hidden.size(); ++k) by_hidden[k] = mixtures[k % n_][k / n_];
  if (n_) coefficients_ = times(knots.hidden(), by_hidden, n_);
}

}    // namespace lmp_uq
