// SPDX-License-Identifier: GPL-2.0-or-later
#include "atom_bars.h"

#include "native_info.h"

#include <algorithm>

using lmp_uq::AtomBars;

static constexpr double LEVEL = 0.9;

AtomBars::AtomBars(Posterior &posterior, Engine &engine) : posterior_(posterior), engine_(engine)
{
  if (engine.device() != "cpu") device_ = engine.make_head(posterior.matrices().view());
}

double *AtomBars::take_descriptors(std::size_t n)
{
  has_grades_ = has_bars_ = false;
  has_descriptors_ = !device_;
  state_ = nullptr;
  if (device_) return nullptr;
  descriptors_.resize(n * posterior_.n_descriptors() + 1);    // never empty: a rank without atoms still hands pointers over
  return descriptors_.data();
}

void AtomBars::take(const Engine::State *state, const std::vector<std::int64_t> &species, const std::vector<double> &energies)
{
  state_ = state;
  species_ = &species;
  energies_ = &energies;
}

const double *AtomBars::descriptors()
{
  descriptors_.resize(n() * posterior_.n_descriptors() + 1);
  if (!has_descriptors_) engine_.descriptors(*state_, descriptors_.data());
  has_descriptors_ = true;
  return descriptors_.data();
}

const double *AtomBars::grades()
{
  grades_.resize(n() + 1);
  if (!has_grades_ && device_) device_->grades(*state_, grades_.data());
  else if (!has_grades_) posterior_.grades(n(), descriptors(), species_->data(), grades_.data());
  has_grades_ = true;
  return grades_.data();
}

void AtomBars::grade_slopes(const double *factors, double *weights)
{
  posterior_.grade_slopes(n(), descriptors(), species_->data(), factors, weights);
}

const double *AtomBars::energy_bar(int field)
{
  for (auto &bar : bars_) bar.resize(n() + 1);
  double *const to[3] = {bars_[0].data(), bars_[1].data(), bars_[2].data()};
  if (!has_bars_ && device_) device_->energy_bars(*state_, to[0], to[1], to[2]);
  else if (!has_bars_) posterior_.energy_bars(n(), descriptors(), species_->data(), energies_->data(), to[0], to[1], to[2]);
  has_bars_ = true;
  return to[field - UQ_ENERGY_STD];
}

// networks are the host's
void AtomBars::of_force(int field, const uq_force_variables &variables, double threshold, double *column)
{
  const double level = field == UQ_FORCE_ERROR_50 ? LEVEL_50 : field == UQ_FORCE_ERROR_95 ? LEVEL_95 : LEVEL;
  const ForceColumns of = {variables.force_norm, grades(), variables.neighbour_grade, variables.correction_norm};
  if (field == UQ_RELIABILITY) posterior_.reliabilities(n(), descriptors(), species_->data(), of, threshold, column);
  else if (device_ && field == UQ_ERROR_ABOVE) device_->force_values(n(), of, posterior_.above_formula(threshold), column);
  else if (field == UQ_ERROR_ABOVE) posterior_.errors_above(n(), species_->data(), of, threshold, column);
  else if (device_ && !posterior_.is_learned()) device_->force_values(n(), of, posterior_.bar_formula(level), column);
  else posterior_.force_errors(n(), descriptors(), species_->data(), of, level, column);
}

bool AtomBars::neighbour_means(const double *values, double *means)
{
  if (device_) device_->neighbour_means(*state_, values, means);
  return on_device();
}

bool AtomBars::member_std(std::size_t n, int n_members, const double *forces, double *std)
{
  if (device_) device_->member_std(n, n_members, forces, std);
  return on_device();
}

void AtomBars::feature_sum(double *sum) { feature_sum_of(state_, descriptors_.data(), sum); }

void AtomBars::feature_sum_of(const Engine::State *state, const double *descriptors, double *sum)
{
  if (!device_) return posterior_.feature_sum(n(), descriptors, species_->data(), sum);
  std::fill(sum, sum + posterior_.n_features(), 0.0);
  device_->feature_sum(*state, sum);
  posterior_.add_bias(n(), species_->data(), sum);
}

std::size_t AtomBars::n_bytes() const
{
  return bytes_of(descriptors_, grades_, bars_[0], bars_[1], bars_[2]) + (device_ ? device_->n_bytes() : 0);
}
