// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cpu/layer.h"

namespace lmp_uq {

template <class T>
Layer<T>::Layer(const Weights &weights, int number, double table_tolerance)
    : weights_(weights), number_(number), shape_(weights.shape().layers[number]), paths_(weights.paths(number)),
      tolerance_(table_tolerance), kernels_(lmp_uq::kernels<T>(shape_.l_in, weights.shape().l_max)), coupling_(paths_),
      products_(weights, number), radial_(weights, number), elements_(weights.shape().n_elements()),
      density_offset_(weights.density_offset(number)), density_slope_(weights.density_slope(number)),
      of_pair_(static_cast<std::size_t>(weights.shape().n_elements()) * weights.shape().n_elements(), nullptr)
{
  const int n_channels = weights.shape().n_channels;
  for (int l = 0; l <= weights.shape().l_max && number > 0 && !shape_.nonlinear; ++l)
    message_.emplace_back(weights.message(number, l, 0), paths_.n_of[l], n_channels, n_channels);
  for (int l = 0; l <= shape_.l_out; ++l) linear_.emplace_back(weights.linear(number, l), 1, n_channels, n_channels);
  for (int l = 0; l <= shape_.l_in && number > 0; ++l) up_.emplace_back(weights.up(number, l), 1, n_channels, shape_.n_sent);
  if (shape_.nonlinear) make_gate_maps();
  if (shape_.readout == Readout::Biased) readout_biased_ = BiasedReadout(weights, number);
  if (shape_.readout == Readout::Linear) readout_linear_ = weights.readout_linear(number);
  if (shape_.readout == Readout::Gated) {
    readout_gate_ = weights.readout_gate(number);
    readout_gated_ = weights.readout_gated(number);
  }
}

template <class T> void Layer<T>::make_gate_maps()
{
  const int n_channels = weights_.shape().n_channels, l_max = weights_.shape().l_max, n_sent = shape_.n_sent;
  const auto message = [&](int l, int part) {
    return Linear<T>(weights_.gated_message(number_, l, part), paths_.n_of[l], n_sent, n_channels);
  };
  const auto source = [&](int l, int part) { return Linear<T>(weights_.gated_source(number_, l, part), 1, n_sent, n_channels); };
  for (int l = 0; l <= l_max; ++l) {
    gate_.message.push_back(message(l, 0));
    gate_.mixing.emplace_back(weights_.mixing(number_, l), 1, n_channels, n_channels);
    if (l > 0) gate_.message_gates.push_back(message(0, l));
  }
  if (number_ == 0) return;    // there what the atom itself sends depends on its element alone, and so does its skip
  for (int l = 0; l <= shape_.l_in; ++l) gate_.source.push_back(source(l, 0));
  for (int l = 1; l <= l_max; ++l) gate_.source_gates.push_back(source(0, l));
  for (int l = 0; l <= l_skip(); ++l) skip_.emplace_back(weights_.skip(number_, l, 0), 1, n_channels, n_channels);
}

template <class T> void Layer<T>::prepare(int z)
{
  if (elements_[z]) return;
  auto made = std::make_unique<ElementWeights<T>>();
  ElementWeights<T> &out = *made;
  const int n_channels = weights_.shape().n_channels, wide = padded<T>(n_channels);
  const Matrix coefficients = products_.coefficients(z);
  const std::size_t n = products_.n_coefficients();
  out.products.zero(n * wide);
  for (std::size_t k = 0; k < n; ++k)
    for (int c = 0; c < n_channels; ++c)
      out.products[(c / block<T>() * n + k) * block<T>() + c % block<T>()] = static_cast<T>(coefficients[k * n_channels + c]);
  for (int l = 0; l <= l_skip() && number_ > 0 && !shape_.nonlinear; ++l)
    out.skip.emplace_back(weights_.skip(number_, l, z), 1, n_channels, n_channels);
  if (number_ == 0 && shape_.nonlinear) {
    const Matrix sent = weights_.source_features(z);
    out.constant_source.zero(static_cast<std::size_t>(weights_.shape().l_max + 1) * wide);
    for (int part = 0; part <= weights_.shape().l_max; ++part) {
      const Matrix own = multiplied(sent, weights_.gated_source(0, 0, part), 1, shape_.n_sent, n_channels);
      for (int c = 0; c < n_channels; ++c) out.constant_source[part * wide + c] = static_cast<T>(own[c]);
    }
  }
  if (number_ == 0) {
    const Matrix constant = weights_.constant_skip(z);
    out.constant_skip.zero(wide);
    for (int c = 0; c < n_channels; ++c) out.constant_skip[c] = static_cast<T>(constant[c]);
  }
  elements_[z] = std::move(made);
}

template <class T> void Layer<T>::prepare(int centre, int source)
{
  const RadialTable<T> *&known = of_pair_[centre * elements_.size() + source];
  if (known || tolerance_ == 0.0) return;
  std::unique_ptr<RadialTable<T>> &made = tables_[radial_.key(centre, source)];
  if (!made) made = std::make_unique<RadialTable<T>>(radial_, centre, source, weights_.shape().cutoff, tolerance_);
  known = made.get();
}

template <class T> std::size_t Layer<T>::table_bytes() const
{
  std::size_t n = 0;
  for (const auto &item : tables_) n += item.second->n_bytes();
  return n;
}

template <class T> std::size_t Layer<T>::n_bytes() const
{
  std::size_t n = table_bytes() + bytes_of(message_, linear_, up_, skip_) +
      bytes_of(gate_.message, gate_.source, gate_.message_gates, gate_.source_gates, gate_.mixing);
  for (const auto &element : elements_)
    if (element) n += bytes_of(element->products, element->skip, element->constant_skip, element->constant_source);
  return n;
}

template class Layer<float>;
template class Layer<double>;

}    // namespace lmp_uq
