// SPDX-License-Identifier: GPL-2.0-or-later
// mace-torch's NonLinearBiasReadoutBlock: two activated maps of the scalars, the second with a bias, then a sum with another one.
#ifndef LMP_UQ_BIASED_READOUT_H
#define LMP_UQ_BIASED_READOUT_H

#include "formulas/readout.h"
#include "mace/weights.h"

namespace lmp_uq {

struct BiasedReadout {
  BiasedReadout() = default;
  BiasedReadout(const Weights &weights, int layer);

  TwiceGatedReadout view(int n_channels) const    // before scale and shift; valid as long as this object
  {
    return {n_channels, static_cast<int>(last.size()), f, first.data(), mid.data(), mid_bias.data(), last.data(), last_bias};
  }

  Activation f = Activation::None;
  Matrix first, mid, mid_bias, last;    // (C, n), (n, n), (n), (n)
  double last_bias = 0.0;
};

}    // namespace lmp_uq
#endif
