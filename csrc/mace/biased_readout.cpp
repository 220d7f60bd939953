// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/biased_readout.h"

namespace lmp_uq {

BiasedReadout::BiasedReadout(const Weights &weights, int layer)
    : f(weights.shape().gate), first(weights.readout_gate(layer)), mid(weights.readout_mid(layer)), mid_bias(weights.readout_bias(layer, false)),
      last(weights.readout_gated(layer)), last_bias(weights.readout_bias(layer, true)[0])
{
}

}    // namespace lmp_uq
