// SPDX-License-Identifier: GPL-2.0-or-later
#include "head/box.h"

#include "formulas/bars.h"

#include <cmath>
#include <stdexcept>

namespace lmp_uq {

Box::Box(const Tensors &posterior, int n_descriptors, const std::string &bias, int n_elements, int n_members)
    : n_descriptors_(n_descriptors), n_members_(n_members)
{
  n_features_ = n_descriptors + (bias == "none" ? 0 : bias == "constant" ? 1 : n_elements);
  // P((K - 3/8)/(K + 1/4)) has the tail (5/8)/(K + 1/4)
  z_ = n_members > 0 ? normal_score(0.625 / (n_members + 0.25)) : 0.0;
  const std::vector<double> coefficients = posterior.at("coefficients").doubles(), modes = posterior.at("modes").doubles();
  const std::vector<double> lower = posterior.at("lower").doubles(), upper = posterior.at("upper").doubles();
  std::vector<int> extended;    // modes without an extent move the mean only
  for (std::size_t k = 0; k < lower.size(); k++)
    if (upper[k] > lower[k]) extended.push_back(static_cast<int>(k));
  n_modes_ = static_cast<int>(extended.size());
  mean_ = PackedMatrix::padded(n_modes_);
  centre_ = coefficients;
  for (int row = 0; row < n_features_; row++)
    for (std::size_t k = 0; k < lower.size(); k++) centre_[row] += modes[row * lower.size() + k] * 0.5 * (upper[k] + lower[k]);
  const auto entry = [&](int row, int column) {
    const double *mode = modes.data() + row * lower.size();
    if (column < n_modes_) return mode[extended[column]] * 0.5 * (upper[extended[column]] - lower[extended[column]]);
    return column < mean_ ? 0.0 : centre_[row];
  };
  matrix_ = PackedMatrix(n_descriptors, mean_ + 1, entry);
  bias_.zero(static_cast<std::size_t>(n_features_ - n_descriptors) * stride());
  for (int b = n_descriptors; b < n_features_; b++)
    for (int column = 0; column <= mean_; column++)
      bias_[static_cast<std::size_t>(b - n_descriptors) * stride() + column] = entry(b, column);
  const Tensor &members = posterior.at("members");
  const auto *values = static_cast<const double *>(members.data);
  members_.assign(values, values + static_cast<std::size_t>(n_members) * n_features_);
}

void Box::bars(int n, const double *descriptors, const int *elements, const double *energies, double *scratch, double *std, double *lower,
               double *upper) const
{
  matrix_.multiply(n, descriptors, n_descriptors_, scratch);
  const int n_bias = n_features_ - n_descriptors_;
  for (int i = 0; i < n; i++) {
    double *row = scratch + static_cast<std::size_t>(i) * stride();
    const double *bias = n_bias ? bias_.data() + static_cast<std::size_t>(n_bias == 1 ? 0 : elements[i]) * stride() : nullptr;
    for (int column = 0; bias && column <= mean_; column++) row[column] += bias[column];
    finish(row, energies[i], std + i, lower + i, upper + i);
  }
}

void Box::row_std(int n, const double *rows, double *scratch, double *std) const
{
  matrix_.multiply(n, rows, n_descriptors_, scratch);
  for (int i = 0; i < n; i++) {
    const double *row = scratch + static_cast<std::size_t>(i) * stride();
    std[i] = energy_bars(box_bars(box_sums(row, mean_), z_), row[mean_], 0.0).std;
  }
}

void Box::finish(const double *row, double energy, double *std, double *lower, double *upper) const
{
  if (n_members_ < 1) throw std::runtime_error("Box.bounds: n_members: found 0, expected an integer >= 1");
  const EnergyBars bars = energy_bars(box_bars(box_sums(row, mean_), z_), row[mean_], energy);
  *std = bars.std;
  *lower = bars.lower;
  *upper = bars.upper;
}

void Box::add_bias(int element, double *sum) const
{
  const int n_bias = n_features_ - n_descriptors_;
  if (n_bias) sum[n_descriptors_ + (n_bias == 1 ? 0 : element)] += 1.0;
}

// without the columns of zeros that end at the mean
void Box::hand_over(HeadMatrices &to) const
{
  const auto column = [&](int k) { return k < n_modes_ ? k : mean_; };
  to.n_modes = n_modes_;
  to.n_bias = n_features_ - n_descriptors_;
  to.z = z_;
  for (int row = 0; row < n_descriptors_; row++)
    for (int k = 0; k <= n_modes_; k++) to.box.push_back(matrix_.entry(row, column(k)));
  for (int b = 0; b < to.n_bias; b++)
    for (int k = 0; k <= n_modes_; k++) to.bias.push_back(bias_[static_cast<std::size_t>(b) * stride() + column(k)]);
}

void Box::reach(const double *sum, double *scratch) const
{
  matrix_.multiply(1, sum, n_descriptors_, scratch);
  for (int b = 0; b < n_features_ - n_descriptors_; b++)
    for (int column = 0; column <= mean_; column++)
      scratch[column] += sum[n_descriptors_ + b] * bias_[static_cast<std::size_t>(b) * stride() + column];
}

void Box::totals(const double *sum, double energy, double *scratch, double std_lower_upper[3]) const
{
  reach(sum, scratch);
  finish(scratch, energy, std_lower_upper, std_lower_upper + 1, std_lower_upper + 2);
}

double Box::std_slope(const double *sum, double *scratch, double *slope) const
{
  reach(sum, scratch);
  const double std = box_bars(box_sums(scratch, mean_), z_).std;
  for (int p = 0; p < n_descriptors_; p++) {
    double along = 0.0;
    for (int k = 0; k < n_modes_; k++) along += matrix_.entry(p, k) * scratch[k];
    slope[p] = std > 0.0 ? along / (3.0 * std) : 0.0;
  }
  return std;
}

void Box::member_energies(const double *sum, double energy, double *energies) const
{
  for (int k = 0; k < n_members_; k++) {
    const double *member = members_.data() + static_cast<std::size_t>(k) * n_features_;
    double shift = 0.0;
    for (int p = 0; p < n_features_; p++) shift += member[p] * sum[p];
    energies[k] = energy + shift;
  }
}

// Newton's method on the logarithm of the tail, which is concave in z: from z = 0 it passes the root once and then comes down to it.
double normal_score(double tail)
{
  double z = 0.0;
  for (int step = 0; step < 100; step++) {
    const double found = 0.5 * std::erfc(z * std::sqrt(0.5)), density = std::exp(-0.5 * z * z) / std::sqrt(2.0 * std::acos(-1.0));
    const double move = found / density * std::log(found / tail);
    z += move;
    if (std::abs(move) < 1e-15 * (1.0 + std::abs(z))) break;
  }
  return z;
}

}    // namespace lmp_uq
