// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/radial.h"

#include "formulas/activations.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace lmp_uq {

namespace {

constexpr double LOWEST = 0.5, LOWEST_OF_CONTACT = 0.55;    // Angstrom; part of the sum of covalent radii

double dot(const std::vector<double> &a, const std::vector<double> &b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

// f(value, first, second) of each number of rows that hold all values, then all first and all second derivatives
template <class F> void for_jets(Matrix &rows, const F &f)
{
  const std::size_t n = rows.size() / 3;
  for (std::size_t k = 0; k < n; ++k) {
    const Jet out = f(k, Jet{rows[k], rows[n + k], rows[2 * n + k]});
    rows[k] = out.value;
    rows[n + k] = out.first;
    rows[2 * n + k] = out.second;
  }
}

}    // namespace

RadialFunctions::RadialFunctions(const Weights &weights, int layer)
    : weights_(weights), layer_(layer), n_functions_(weights.paths(layer).n), n_channels_(weights.shape().layers[layer].n_sent),
      parameters_(weights.radial_parameters()), scale_(weights.radial_scale()), envelope_cutoff_(weights.envelope_cutoff()),
      envelope_order_(weights.envelope_order())
{
  const LayerShape &shape = weights.shape().layers[layer];
  const int n_steps = static_cast<int>(weights.shape().radial_widths.size());
  if (shape.nonlinear) {
    normed_ = std::make_unique<NormedNetwork>(weights, layer, "conv_tp_weights");
    normed_density_ = std::make_unique<NormedNetwork>(weights, layer, "density_fn");
    last_ = std::make_shared<const Matrix>(normed_->last());
  } else {
    for (int step = 0; step < n_steps; ++step) steps_.push_back(weights.radial(layer, step));
    last_ = std::make_shared<const Matrix>(weights.radial(layer, n_steps));
    if (shape.density) density_ = weights.density(layer);
  }
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

// rows (3 n_points, n_basis): values, first and second derivatives of the basis -> those of the hidden functions
void RadialFunctions::network(Matrix &rows, std::size_t n_points) const
{
  for (const Matrix &step : steps_) {
    rows = times(rows, step, step.size() / (rows.size() / (3 * n_points)));
    for_jets(rows, [](std::size_t, const Jet &x) { return chain(silu_jet(x.value), x); });
  }
}

Jet RadialFunctions::density(const Rows &basis, int centre, int source) const
{
  if (density_.empty() && !normed_density_) return {0.0, 0.0, 0.0};
  Jet y;
  if (normed_density_) {
    const Rows rows = normed_density_->at(basis, centre, source);
    y = {rows[0][0], rows[1][0], rows[2][0]};
  } else {
    y = {dot(basis[0], density_), dot(basis[1], density_), dot(basis[2], density_)};
  }
  const Jet square = product(y, y);
  return chain(tanh_jet(square.value), square);
}

RadialFunctions::Hidden RadialFunctions::hidden(const std::vector<double> &distances, int centre, int source) const
{
  const std::size_t n = distances.size();
  std::vector<Jet> cuts(n);
  Hidden out;
  Matrix rows;
  for (std::size_t k = 0; k < n; ++k) {
    Rows b = basis(distances[k], centre, source, cuts[k]);
    out.density.push_back(density(b, centre, source));
    if (normed_) b = normed_->hidden(std::move(b), centre, source);
    const std::size_t width = b[0].size();
    rows.resize(3 * n * width);
    for (int order = 0; order < 3; ++order) std::copy(b[order].begin(), b[order].end(), rows.begin() + (order * n + k) * width);
  }
  if (!normed_) network(rows, n);
  if (!weights_.shape().cutoff_in_basis) {
    const std::size_t width = rows.size() / (3 * n);
    for_jets(rows, [&](std::size_t k, const Jet &x) { return product(x, cuts[k / width]); });
    for (std::size_t k = 0; k < n; ++k) out.density[k] = product(out.density[k], cuts[k]);
  }
  const auto third = static_cast<std::ptrdiff_t>(rows.size() / 3);
  out.value.assign(rows.begin(), rows.begin() + third);
  out.first.assign(rows.begin() + third, rows.begin() + 2 * third);
  out.second.assign(rows.begin() + 2 * third, rows.end());
  return out;
}

// In layer 0 there is one path for each degree, with the source's scalars.
std::shared_ptr<const Matrix> RadialFunctions::columns(int centre, int source) const
{
  if (layer_ > 0) return last_;
  const std::size_t wide = n_columns(), n = n_channels_, n_hidden = last_->size() / wide;
  const Matrix sent = weights_.source_features(source);
  Matrix out(n_hidden * wide);
  for (int l = 0; l < n_functions_; ++l) {
    Matrix part(n_hidden * n);
    for (std::size_t k = 0; k < part.size(); ++k) part[k] = (*last_)[k / n * wide + l * n + k % n] * sent[k % n];
    if (!normed_) part = times(part, weights_.message(0, l, centre), n);
    for (std::size_t k = 0; k < part.size(); ++k) out[k / n * wide + l * n + k % n] = part[k];
  }
  return std::make_shared<const Matrix>(std::move(out));
}

std::shared_ptr<const Matrix> RadialFunctions::known_columns(int centre, int source) const
{
  const std::lock_guard<std::mutex> lock(mutex_);
  std::shared_ptr<const Matrix> &out = columns_[key(centre, source)];
  if (!out) out = columns(centre, source);
  return out;
}

RadialFunctions::Point RadialFunctions::at(double r, int centre, int source) const
{
  const Hidden h = hidden({r}, centre, source);
  const std::shared_ptr<const Matrix> matrix = known_columns(centre, source);
  const std::size_t n = n_columns();
  return {times(h.value, *matrix, n), times(h.first, *matrix, n), times(h.second, *matrix, n), h.density[0]};
}

}    // namespace lmp_uq
