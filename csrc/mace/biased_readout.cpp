// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/biased_readout.h"

namespace lmp_uq {

BiasedReadout::BiasedReadout(const Weights &weights, int layer)
    : f_(weights.shape().gate), first_(weights.readout_gate(layer)), mid_(weights.readout_mid(layer)),
      mid_bias_(weights.readout_bias(layer, false)), last_(weights.readout_gated(layer)), last_bias_(weights.readout_bias(layer, true)[0])
{
}

// what the two activations are applied to
void BiasedReadout::inner(const std::vector<double> &scalars, std::vector<double> &first, std::vector<double> &second) const
{
  const std::size_t n = last_.size();
  first.assign(n, 0.0);
  second = mid_bias_;
  for (std::size_t c = 0; c < scalars.size(); ++c)
    for (std::size_t k = 0; k < n; ++k) first[k] += first_[c * n + k] * scalars[c];
  for (std::size_t k = 0; k < n; ++k)
    for (std::size_t q = 0; q < n; ++q) second[q] += activation(f_, first[k], mid_[k * n + q]);
}

double BiasedReadout::energy(const std::vector<double> &scalars) const
{
  std::vector<double> first, second;
  inner(scalars, first, second);
  double sum = last_bias_;
  for (std::size_t k = 0; k < second.size(); ++k) sum += activation(f_, second[k], last_[k]);
  return sum;
}

void BiasedReadout::add_gradient(const std::vector<double> &scalars, double weight, std::vector<double> &out) const
{
  std::vector<double> first, second;
  inner(scalars, first, second);
  const std::size_t n = last_.size();
  for (std::size_t k = 0; k < n; ++k) second[k] = activation_slope(f_, second[k], weight * last_[k]);
  for (std::size_t k = 0; k < n; ++k) {
    double sum = 0.0;
    for (std::size_t q = 0; q < n; ++q) sum += mid_[k * n + q] * second[q];
    first[k] = activation_slope(f_, first[k], sum);
  }
  for (std::size_t c = 0; c < out.size(); ++c)
    for (std::size_t k = 0; k < n; ++k) out[c] += first_[c * n + k] * first[k];
}

}    // namespace lmp_uq
