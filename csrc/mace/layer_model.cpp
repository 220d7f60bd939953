// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/layer_model.h"

namespace lmp_uq {

LayerModel::LayerModel(const Weights &weights, int number)
    : weights_(weights), number_(number), shape_(weights.shape().layers[number]), paths_(weights.paths(number)), coupling_(paths_),
      products_(weights, number), radial_(weights, number)
{
  if (shape_.readout == Readout::Linear) readout_linear_ = weights.readout_linear(number);
  if (shape_.readout != Readout::Gated) return;
  readout_gate_ = weights.readout_gate(number);
  readout_gated_ = weights.readout_gated(number);
}

}    // namespace lmp_uq
