// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/layer_model.h"

namespace lmp_uq {

LayerModel::LayerModel(const Weights &weights, int number)
    : weights_(weights), number_(number), shape_(weights.shape().layers[number]), paths_(weights.paths(number)), coupling_(paths_),
      products_(weights, number), radial_(weights, number), density_offset_(weights.density_offset(number)),
      density_slope_(weights.density_slope(number))
{
  if (shape_.readout == Readout::Biased) readout_biased_ = BiasedReadout(weights, number);
  if (shape_.readout == Readout::Linear) readout_linear_ = weights.readout_linear(number);
  if (shape_.readout != Readout::Gated) return;
  readout_gate_ = weights.readout_gate(number);
  readout_gated_ = weights.readout_gated(number);
}

Matrix LayerModel::constant_sources(int element) const
{
  const Matrix sent = weights_.source_features(element);
  const std::size_t n = n_channels();
  Matrix out((l_max() + 1) * n, 0.0);
  for (int part = 0; part <= l_max(); ++part) {
    const Matrix map = gated_source(0, part);
    for (std::size_t k = 0; k < sent.size(); ++k)
      for (std::size_t c = 0; c < n; ++c) out[part * n + c] += sent[k] * map[k * n + c];
  }
  return out;
}

}    // namespace lmp_uq
