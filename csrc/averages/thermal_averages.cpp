// SPDX-License-Identifier: GPL-2.0-or-later
#include "averages/thermal_averages.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace lmp_uq {

ThermalAverages::ThermalAverages(const Sizes &sizes, std::vector<int> row_of_value)
    : sizes_(sizes), row_of_value_(std::move(row_of_value))
{
  clear();
}

void ThermalAverages::clear()
{
  const std::size_t n_values = row_of_value_.size(), n_features = sizes_.n_features, n_members = sizes_.n_members;
  n_ = n_whole_ = 0.0;
  length_ = 1.0;
  mean_.assign(n_values, 0.0);
  features_.assign(n_features, 0.0);
  rows_.assign(sizes_.n_rows * n_features, 0.0);
  products_.assign(n_values * n_features, 0.0);
  for (auto *array : {&energies_, &squares_, &log_shift_, &weight_, &weight_square_}) array->assign(n_members, 0.0);
  blocks_.assign(MAX_BLOCKS, empty_block());
}

ThermalAverages::Block ThermalAverages::empty_block() const
{
  const std::size_t n_members = sizes_.n_members;
  Block block;
  block.values.assign(row_of_value_.size(), 0.0);
  block.energies.assign(n_members, 0.0);
  block.rows.assign(sizes_.n_rows * n_members, 0.0);
  block.products.assign(row_of_value_.size() * n_members, 0.0);
  return block;
}

void ThermalAverages::add(const Sample &sample)
{
  n_ += 1.0;
  add_to_totals(sample);
  add_to_block(sample);
}

// Means and sums of products are updated as B. P. Welford, Technometrics 4, 419 (1962): energies of 1e5 eV differ by 1 eV.
static void move_mean(std::vector<double> &mean, const double *sample, double n)
{
  for (std::size_t k = 0; k < mean.size(); k++) mean[k] += (sample[k] - mean[k]) / n;
}

// products (A, width) += (a - mean before)(b - mean after)
static void add_products(std::vector<double> &products, const std::vector<double> &before, const double *values, const double *others,
                         const std::vector<double> &after)
{
  const std::size_t width = after.size();
  for (std::size_t a = 0; a < before.size(); a++) {
    const double deviation = values[a] - before[a];
    for (std::size_t k = 0; k < width; k++) products[a * width + k] += deviation * (others[k] - after[k]);
  }
}

void ThermalAverages::add_to_totals(const Sample &sample)
{
  move_mean(features_, sample.features, n_);
  move_mean(rows_, sample.rows, n_);
  add_products(products_, mean_, sample.values, sample.features, features_);
  move_mean(mean_, sample.values, n_);
  for (int k = 0; k < sizes_.n_members; k++) {
    const double deviation = sample.member_energies[k] - energies_[k];
    energies_[k] += deviation / n_;
    squares_[k] += deviation * (sample.member_energies[k] - energies_[k]);
    // the largest weight so far is 1: exp() neither overflows nor vanishes for all
    const double log_weight = -beta_ * sample.member_energies[k];
    if (n_ == 1.0 || log_weight > log_shift_[k]) {
      const double scale = n_ == 1.0 ? 0.0 : std::exp(log_shift_[k] - log_weight);
      weight_[k] *= scale;
      weight_square_[k] *= scale * scale;
      log_shift_[k] = log_weight;
    }
    const double weight = std::exp(log_weight - log_shift_[k]);
    weight_[k] += weight;
    weight_square_[k] += weight * weight;
  }
}

void ThermalAverages::add_to_block(const Sample &sample)
{
  Block &block = blocks_[static_cast<std::size_t>(n_whole_)];
  block.n += 1.0;
  move_mean(block.energies, sample.member_energies, block.n);
  move_mean(block.rows, sample.member_rows, block.n);
  add_products(block.products, block.values, sample.values, sample.member_energies, block.energies);
  move_mean(block.values, sample.values, block.n);
  if (block.n < length_) return;
  n_whole_ += 1.0;
  if (n_whole_ < MAX_BLOCKS) return;
  for (int b = 0; b < MAX_BLOCKS / 2; b++) {
    Block merged = std::move(blocks_[2 * b]);
    merge(merged, blocks_[2 * b + 1]);
    blocks_[b] = std::move(merged);
  }
  for (int b = MAX_BLOCKS / 2; b < MAX_BLOCKS; b++) blocks_[b] = empty_block();
  n_whole_ = MAX_BLOCKS / 2;
  length_ *= 2.0;
}

// two blocks of the same number of samples
void ThermalAverages::merge(Block &into, const Block &other)
{
  const std::size_t width = into.energies.size();
  for (std::size_t a = 0; a < into.values.size(); a++)
    for (std::size_t k = 0; k < width; k++)
      into.products[a * width + k] += other.products[a * width + k] +
          0.5 * into.n * (other.values[a] - into.values[a]) * (other.energies[k] - into.energies[k]);
  const auto halve = [](std::vector<double> &mine, const std::vector<double> &theirs) {
    for (std::size_t k = 0; k < mine.size(); k++) mine[k] = 0.5 * (mine[k] + theirs[k]);
  };
  halve(into.values, other.values);
  halve(into.energies, other.energies);
  halve(into.rows, other.rows);
  into.n += other.n;
}

void ThermalAverages::response(int value, double *g) const
{
  const std::size_t width = sizes_.n_features;
  const int row = row_of_value_[value];
  for (std::size_t p = 0; p < width; p++) {
    g[p] = -beta_ * products_[value * width + p] / n_;
    if (row != NO_ROW) g[p] += rows_[row * width + p];
  }
}

// standard error of the mean of equally long blocks
static double standard_error(const std::vector<double> &blocks)
{
  const double n = static_cast<double>(blocks.size());
  if (n < 2.0) return std::numeric_limits<double>::quiet_NaN();
  double mean = 0.0, square = 0.0;
  for (const double one : blocks) mean += one / n;
  for (const double one : blocks) square += (one - mean) * (one - mean);
  return std::sqrt(square / (n * (n - 1.0)));
}

double ThermalAverages::mean_error(int value) const
{
  std::vector<double> blocks;
  for (int b = 0; b < n_blocks(); b++) blocks.push_back(blocks_[b].values[value]);
  return standard_error(blocks);
}

double ThermalAverages::response_error(int value) const
{
  const int row = row_of_value_[value], n = n_blocks();
  if (n < 2 || sizes_.n_members < 1) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> shifts(n);
  double mean = 0.0, total = 0.0;
  for (int b = 0; b < n; b++) mean += blocks_[b].values[value] / n;
  for (int k = 0; k < sizes_.n_members; k++) {
    double energy = 0.0;
    for (int b = 0; b < n; b++) energy += blocks_[b].energies[k] / n;
    for (int b = 0; b < n; b++) {
      const Block &block = blocks_[b];
      // about the mean of all blocks: what is slower than a block belongs to the covariance too
      const double inside = block.products[static_cast<std::size_t>(value) * sizes_.n_members + k] / block.n;
      shifts[b] = -beta_ * (inside + (block.values[value] - mean) * (block.energies[k] - energy));
      if (row != NO_ROW) shifts[b] += block.rows[static_cast<std::size_t>(row) * sizes_.n_members + k];
    }
    const double error = standard_error(shifts);
    total += error * error / sizes_.n_members;
  }
  return std::sqrt(total);
}

std::vector<double> ThermalAverages::variances() const
{
  std::vector<double> out(squares_);
  for (double &one : out) one *= beta_ * beta_ / n_;
  return out;
}

std::vector<double> ThermalAverages::effective_shares() const
{
  std::vector<double> out(weight_);
  for (std::size_t k = 0; k < out.size(); k++) out[k] = weight_[k] * weight_[k] / (n_ * weight_square_[k]);
  return out;
}

// in the order of the state
std::vector<std::vector<double> *> ThermalAverages::arrays()
{
  std::vector<std::vector<double> *> out = {&mean_,    &features_,  &rows_,   &products_,     &energies_,
                                            &squares_, &log_shift_, &weight_, &weight_square_};
  for (Block &block : blocks_)
    for (auto *array : {&block.values, &block.energies, &block.rows, &block.products}) out.push_back(array);
  return out;
}

std::vector<double> ThermalAverages::state() const
{
  std::vector<double> out = {n_, length_, n_whole_};
  for (const Block &block : blocks_) out.push_back(block.n);
  for (const auto *array : const_cast<ThermalAverages *>(this)->arrays()) out.insert(out.end(), array->begin(), array->end());
  return out;
}

std::size_t ThermalAverages::state_size() const
{
  std::size_t size = 3 + blocks_.size();
  for (const auto *array : const_cast<ThermalAverages *>(this)->arrays()) size += array->size();
  return size;
}

void ThermalAverages::restore(const double *state)
{
  n_ = *state++;
  length_ = *state++;
  n_whole_ = *state++;
  for (Block &block : blocks_) block.n = *state++;
  for (auto *array : arrays()) {
    std::copy_n(state, array->size(), array->begin());
    state += array->size();
  }
}

}    // namespace lmp_uq
