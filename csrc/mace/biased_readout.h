// SPDX-License-Identifier: GPL-2.0-or-later
// mace-torch's NonLinearBiasReadoutBlock: two activated maps of the scalars, the second with a bias, then a sum with another one.
#ifndef LMP_UQ_BIASED_READOUT_H
#define LMP_UQ_BIASED_READOUT_H

#include "mace/weights.h"

#include <vector>

namespace lmp_uq {

class BiasedReadout {
 public:
  BiasedReadout() = default;
  BiasedReadout(const Weights &weights, int layer);

  double energy(const std::vector<double> &scalars) const;                                      // (C); before scale and shift
  void add_gradient(const std::vector<double> &scalars, double weight, std::vector<double> &out) const;    // (C) of weight times it

 private:
  void inner(const std::vector<double> &scalars, std::vector<double> &first, std::vector<double> &second) const;

  Activation f_ = Activation::None;
  Matrix first_, mid_, mid_bias_, last_;    // (C, n), (n, n), (n), (n)
  double last_bias_ = 0.0;
};

}    // namespace lmp_uq
#endif
