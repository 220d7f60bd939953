// SPDX-License-Identifier: GPL-2.0-or-later
#include "head/quantile_network.h"

#include "head/force_error.h"
#include "base/text.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace lmp_uq {

QuantileNetwork::QuantileNetwork(const Json &header, const Tensors &arrays)
    : layers_(arrays), lower_(arrays.at("lower").doubles()), upper_(arrays.at("upper").doubles()), factors_(arrays.at("factors").doubles())
{
  for (const Json &level : header.at("levels").array()) levels_.push_back(level.number());
  if (!is_rising(levels_))
    throw std::runtime_error("QuantileNetwork: levels=(" + levels_text(levels_) + "), accepted are rising numbers between 0 and 1");
  if (const Json *n = header.find("n_variables")) n_variables_ = static_cast<int>(n->integer());
  check();
}

void QuantileNetwork::check() const
{
  if (!layers_.has_positive_scales()) throw std::runtime_error("QuantileNetwork: needs input_scale > 0");
  bool good = true;
  for (std::size_t k = 0; k < lower_.size(); k++) good = good && lower_[k] <= upper_[k] && factors_[k] >= 0;
  if (!good) throw std::runtime_error("QuantileNetwork: needs lower <= upper and factors >= 0");
}

int QuantileNetwork::position(double level) const
{
  const auto found = std::find(levels_.begin(), levels_.end(), level);
  if (found == levels_.end())
    throw std::runtime_error("learned quantile: level " + to_text(level) + " was not trained; accepted: " + levels_text(levels_));
  return static_cast<int>(found - levels_.begin());
}

// It is for atoms like the calibration atoms only: measured, a learned quantile is the worst bar in new chemistry.
bool QuantileNetwork::is_for(const ForceVariables &of) const
{
  return of.grade <= 1.0 && (n_variables_ == 1 || std::isfinite(of.neighbours));
}

void QuantileNetwork::bars(int which, int n, const double *const *rows, const ForceVariables *variables, double *in, double *out,
                           double *bar) const
{
  const int n_inputs = layers_.n_inputs(), n_descriptors = n_inputs - n_variables_;
  for (int i = 0; i < n; i++) {
    const ForceVariables &of = variables[i];
    const double more[] = {of.force + FORCE_OFFSET, of.grade + GRADE_OFFSET, of.neighbours + GRADE_OFFSET};
    double *x = in + static_cast<std::size_t>(i) * n_inputs;
    for (int p = 0; p < n_inputs; p++) x[p] = layers_.scaled(p, p < n_descriptors ? rows[i][p] : std::log(more[p - n_descriptors]));
  }
  const DenseLayers::Outputs found = layers_.apply(n, in, out);
  for (int i = 0; i < n; i++)
    bar[i] = quantile_bar(found.first + i * found.stride, lower_.data(), upper_.data(), factors_.data(), which);
}

}    // namespace lmp_uq
