// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/radial.h"

#include "formulas/activations.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace lmp_uq {

namespace {

constexpr double LOWEST = 0.5, LOWEST_OF_CONTACT = 0.4;    // Angstrom; part of the sum of covalent radii

// rows (n) times matrix (n, m)
std::vector<double> times(const std::vector<double> &row, const Matrix &matrix, std::size_t m)
{
  std::vector<double> out(m, 0.0);
  for (std::size_t k = 0; k < row.size(); ++k) {
    const double factor = row[k];
    const double *from = matrix.data() + k * m;
    for (std::size_t c = 0; c < m; ++c) out[c] += factor * from[c];
  }
  return out;
}

}    // namespace

RadialFunctions::RadialFunctions(const Weights &weights, int layer)
    : weights_(weights), layer_(layer), n_functions_(weights.paths(layer).n), n_channels_(weights.shape().layers[layer].n_sent),
      parameters_(weights.radial_parameters()), scale_(weights.radial_scale()), envelope_cutoff_(weights.envelope_cutoff()),
      envelope_order_(weights.envelope_order())
{
  const LayerShape &shape = weights.shape().layers[layer];
  if (shape.nonlinear) {
    normed_ = std::make_unique<NormedNetwork>(weights, layer, "conv_tp_weights");
    normed_density_ = std::make_unique<NormedNetwork>(weights, layer, "density_fn");
  }
  for (std::size_t step = 0; step <= weights.shape().radial_widths.size() && !shape.nonlinear; ++step)
    steps_.push_back(weights.radial(layer, static_cast<int>(step)));
  if (shape.density && !shape.nonlinear) density_ = weights.density(layer);
  if (weights.shape().transform == Transform::Agnesi) agnesi_ = weights.agnesi();
  if (weights.shape().transform == Transform::Soft) softness_ = weights.softness();
}

std::pair<int, int> RadialFunctions::key(int centre, int source) const
{
  const bool of_pairs = weights_.shape().transform != Transform::None;
  if (normed_) return {centre, source};
  if (layer_ > 0) return of_pairs ? std::make_pair(std::min(centre, source), std::max(centre, source)) : std::make_pair(0, 0);
  return {of_pairs || weights_.message_depends_on_element(0) ? centre : 0, source};
}

double RadialFunctions::lowest(int centre, int source) const
{
  const double low = weights_.shape().transform != Transform::None ? LOWEST_OF_CONTACT * weights_.contact(centre, source) : LOWEST;
  return std::min(low, 0.5 * weights_.shape().cutoff);
}

Jet RadialFunctions::transformed(double r, int centre, int source) const
{
  switch (weights_.shape().transform) {
    case Transform::Agnesi: return agnesi(r, 0.5 * weights_.contact(centre, source), agnesi_);
    case Transform::Soft: return soft(r, weights_.contact(centre, source), softness_);
    default: return {r, 1.0, 0.0};
  }
}

RadialFunctions::Rows RadialFunctions::basis(double r, int centre, int source, Jet &cut) const
{
  cut = envelope(r, envelope_cutoff_, envelope_order_);
  const Jet t = transformed(r, centre, source);
  Rows out(3, std::vector<double>(parameters_.size()));
  for (std::size_t k = 0; k < parameters_.size(); ++k) {
    Jet b = chain(radial_basis(weights_.shape().radial_basis, t.value, parameters_[k], scale_), t);
    if (weights_.shape().cutoff_in_basis) b = product(b, cut);
    out[0][k] = b.value;
    out[1][k] = b.first;
    out[2][k] = b.second;
  }
  return out;
}

RadialFunctions::Rows RadialFunctions::network(Rows rows, int centre, int source) const
{
  if (normed_) return normed_->at(std::move(rows), centre, source);
  for (std::size_t step = 0; step < steps_.size(); ++step) {
    const std::size_t width = steps_[step].size() / rows[0].size();
    for (std::vector<double> &row : rows) row = times(row, steps_[step], width);
    if (step + 1 == steps_.size()) break;
    for (std::size_t k = 0; k < width; ++k) {
      const Jet out = chain(silu_jet(rows[0][k]), {rows[0][k], rows[1][k], rows[2][k]});
      rows[0][k] = out.value;
      rows[1][k] = out.first;
      rows[2][k] = out.second;
    }
  }
  return rows;
}

Jet RadialFunctions::density(const Rows &basis, int centre, int source) const
{
  if (density_.empty() && !normed_density_) return {0.0, 0.0, 0.0};
  const Rows rows = normed_density_ ? normed_density_->at(basis, centre, source)
                                    : Rows{times(basis[0], density_, 1), times(basis[1], density_, 1), times(basis[2], density_, 1)};
  const Jet y{rows[0][0], rows[1][0], rows[2][0]};
  const Jet square = product(y, y);
  return chain(tanh_jet(square.value), square);
}

const Matrix &RadialFunctions::folding(int l, int centre, int source) const
{
  const std::lock_guard<std::mutex> lock(mutex_);
  Matrix &out = foldings_[{l, key(centre, source)}];
  if (out.empty()) {
    const Matrix sent = weights_.source_features(source);
    if (normed_) return out = sent;
    out = weights_.message(0, l, centre);
    for (int c = 0; c < n_channels_; ++c)
      for (int d = 0; d < n_channels_; ++d) out[c * n_channels_ + d] *= sent[c];
  }
  return out;
}

// In layer 0 there is one path for each degree, with the source's scalars.
void RadialFunctions::fold(Rows &rows, int centre, int source) const
{
  if (normed_) {
    const Matrix &sent = folding(0, centre, source);
    for (std::vector<double> &row : rows)
      for (std::size_t k = 0; k < row.size(); ++k) row[k] *= sent[k % sent.size()];
    return;
  }
  for (std::vector<double> &row : rows)
    for (int l = 0; l < n_functions_; ++l) {
      const std::vector<double> part(row.begin() + l * n_channels_, row.begin() + (l + 1) * n_channels_);
      const std::vector<double> out = times(part, folding(l, centre, source), n_channels_);
      std::copy(out.begin(), out.end(), row.begin() + l * n_channels_);
    }
}

RadialFunctions::Point RadialFunctions::at(double r, int centre, int source) const
{
  Jet cut;
  const Rows b = basis(r, centre, source, cut);
  Rows rows = network(b, centre, source);
  Jet rho = density(b, centre, source);
  if (!weights_.shape().cutoff_in_basis) {
    for (std::size_t k = 0; k < rows[0].size(); ++k) {
      const Jet out = product({rows[0][k], rows[1][k], rows[2][k]}, cut);
      rows[0][k] = out.value;
      rows[1][k] = out.first;
      rows[2][k] = out.second;
    }
    rho = product(rho, cut);
  }
  if (layer_ == 0) fold(rows, centre, source);
  return {rows[0], rows[1], rows[2], rho};
}

}    // namespace lmp_uq
