// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/normed_network.h"

#include "formulas/activations.h"

#include <cmath>

namespace lmp_uq {

namespace {

constexpr double NORM_EPSILON = 1e-5;    // torch.nn.LayerNorm's

double mean(const std::vector<double> &values)
{
  double sum = 0.0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}    // namespace

NormedNetwork::NormedNetwork(const Weights &weights, int layer, const std::string &name) : weights_(weights), layer_(layer), name_(name)
{
  const std::size_t n_steps = name == "density_fn" ? 2 : weights.shape().radial_widths.size() + 1;
  for (std::size_t step = 0; step < n_steps; ++step) {
    steps_.push_back(weights.normed_step(layer, name, static_cast<int>(step)));
    biases_.push_back(step ? weights.normed_bias(layer, name, static_cast<int>(step), 0, 0) : Matrix());
    if (step + 1 == n_steps) break;
    scales_.push_back(weights.norm_scale(layer, name, static_cast<int>(step)));
    shifts_.push_back(weights.norm_shift(layer, name, static_cast<int>(step)));
  }
}

const Matrix &NormedNetwork::first_bias(int centre, int source) const
{
  const std::lock_guard<std::mutex> lock(mutex_);
  Matrix &out = first_biases_[{centre, source}];
  if (out.empty()) out = weights_.normed_bias(layer_, name_, 0, centre, source);
  return out;
}

void NormedNetwork::map(Rows &rows, std::size_t step, int centre, int source) const
{
  const Matrix &bias = step ? biases_[step] : first_bias(centre, source);
  for (std::vector<double> &row : rows) row = times(row, steps_[step], bias.size());
  for (std::size_t k = 0; k < bias.size(); ++k) rows[0][k] += bias[k];
}

NormedNetwork::Rows NormedNetwork::at(Rows rows, int centre, int source) const
{
  for (std::size_t step = 0; step < steps_.size(); ++step) {
    map(rows, step, centre, source);
    if (step + 1 < steps_.size()) normalise(rows, step);
  }
  return rows;
}

NormedNetwork::Rows NormedNetwork::hidden(Rows rows, int centre, int source) const
{
  for (std::size_t step = 0; step + 1 < steps_.size(); ++step) {
    map(rows, step, centre, source);
    normalise(rows, step);
  }
  for (std::size_t order = 0; order < rows.size(); ++order) rows[order].push_back(order ? 0.0 : 1.0);
  return rows;
}

Matrix NormedNetwork::last() const
{
  Matrix out = steps_.back();
  out.insert(out.end(), biases_.back().begin(), biases_.back().end());
  return weights_.by_path(layer_, out);
}

// to silu(scale (x - mean) / sqrt(variance + epsilon) + shift)
void NormedNetwork::normalise(Rows &rows, std::size_t step) const
{
  const std::size_t n = rows[0].size();
  Jet spread{NORM_EPSILON, 0.0, 0.0};
  for (std::vector<double> &row : rows) {
    const double centre = mean(row);
    for (double &value : row) value -= centre;
  }
  for (std::size_t k = 0; k < n; ++k) {
    const Jet x{rows[0][k], rows[1][k], rows[2][k]}, square = product(x, x);
    spread.value += square.value / n;
    spread.first += square.first / n;
    spread.second += square.second / n;
  }
  const double root = 1.0 / std::sqrt(spread.value), slope = -0.5 * root / spread.value;
  const Jet inverse = chain({root, slope, -1.5 * slope / spread.value}, spread);
  for (std::size_t k = 0; k < n; ++k) {
    Jet y = product({rows[0][k], rows[1][k], rows[2][k]}, inverse);
    const double scale = scales_[step][k];
    y = {scale * y.value + shifts_[step][k], scale * y.first, scale * y.second};
    const Jet out = chain(silu_jet(y.value), y);
    rows[0][k] = out.value;
    rows[1][k] = out.first;
    rows[2][k] = out.second;
  }
}

}    // namespace lmp_uq
