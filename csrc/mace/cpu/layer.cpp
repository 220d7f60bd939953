// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cpu/layer.h"

#include <set>

namespace lmp_uq {

template <class T>
Layer<T>::Layer(const Weights &weights, int number, double table_tolerance)
    : model_(weights, number), tolerance_(table_tolerance), kernels_(lmp_uq::kernels<T>(shape().l_in, model_.l_max())),
      couple_(model_.coupling().forward), uncouple_(model_.coupling().reverse), elements_(model_.n_elements()),
      of_pair_(static_cast<std::size_t>(model_.n_elements()) * model_.n_elements(), nullptr)
{
  const int n_channels = model_.n_channels();
  for (int l = 0; l <= model_.l_max() && number > 0 && !shape().nonlinear; ++l)
    message_.emplace_back(model_.message(l), paths().n_of[l], n_channels, n_channels);
  for (int l = 0; l <= shape().l_out; ++l) linear_.emplace_back(model_.linear(l), 1, n_channels, n_channels);
  for (int l = 0; l <= shape().l_in && number > 0; ++l) up_.emplace_back(model_.up(l), 1, n_channels, n_sent());
  if (shape().nonlinear) make_gate_maps();
}

template <class T> void Layer<T>::make_gate_maps()
{
  const int n_channels = model_.n_channels(), l_max = model_.l_max();
  const auto message = [&](int l, int part) { return Linear<T>(model_.gated_message(l, part), paths().n_of[l], n_sent(), n_channels); };
  const auto source = [&](int l, int part) { return Linear<T>(model_.gated_source(l, part), 1, n_sent(), n_channels); };
  for (int l = 0; l <= l_max; ++l) {
    gate_.message.push_back(message(l, 0));
    gate_.mixing.emplace_back(model_.mixing(l), 1, n_channels, n_channels);
    if (l > 0) gate_.message_gates.push_back(message(0, l));
  }
  if (number() == 0) return;    // there what the atom itself sends depends on its element alone, and so does its skip
  for (int l = 0; l <= shape().l_in; ++l) gate_.source.push_back(source(l, 0));
  for (int l = 1; l <= l_max; ++l) gate_.source_gates.push_back(source(0, l));
  for (int l = 0; l <= l_skip(); ++l) skip_.emplace_back(model_.skip(l, 0), 1, n_channels, n_channels);
}

template <class T> void Layer<T>::prepare(int z)
{
  if (elements_[z]) return;
  auto made = std::make_unique<ElementWeights<T>>();
  ElementWeights<T> &out = *made;
  const int n_channels = model_.n_channels(), wide = padded<T>(n_channels);
  const Matrix coefficients = products().coefficients(z);
  const std::size_t n = products().n_coefficients();
  out.products.zero(n * wide);
  for (std::size_t k = 0; k < n; ++k)
    for (int c = 0; c < n_channels; ++c)
      out.products[(c / block<T>() * n + k) * block<T>() + c % block<T>()] = static_cast<T>(coefficients[k * n_channels + c]);
  for (int l = 0; l <= l_skip() && number() > 0 && !shape().nonlinear; ++l)
    out.skip.emplace_back(model_.skip(l, z), 1, n_channels, n_channels);
  if (number() == 0 && shape().nonlinear) {
    const Matrix sources = model_.constant_sources(z);
    out.constant_source.zero(static_cast<std::size_t>(model_.l_max() + 1) * wide);
    for (std::size_t k = 0; k < sources.size(); ++k)
      out.constant_source[k / n_channels * wide + k % n_channels] = static_cast<T>(sources[k]);
  }
  if (number() == 0) {
    const Matrix constant = model_.constant_skip(z);
    out.constant_skip.zero(wide);
    for (int c = 0; c < n_channels; ++c) out.constant_skip[c] = static_cast<T>(constant[c]);
  }
  elements_[z] = std::move(made);
}

// Has the pair no table, nor one of equal functions that it could share?
template <class T> bool Layer<T>::needs_table(int centre, int source)
{
  const RadialTable<T> *&known = of_pair_[centre * elements_.size() + source];
  if (known || tolerance_ == 0.0) return false;
  const auto made = tables_.find(radial().key(centre, source));
  if (made == tables_.end()) return true;
  known = made->second.get();
  return false;
}

template <class T> std::size_t Layer<T>::table_bytes(const RadialKnots &knots) const
{
  return RadialTable<T>::n_bytes(knots.n_intervals(), radial().n_functions(), radial().n_channels());
}

template <class T> void Layer<T>::write(const RadialKnots &knots, unsigned char *memory) const
{
  RadialTable<T>::write(knots, radial().n_functions(), radial().n_channels(), memory);
}

template <class T> void Layer<T>::adopt(const Pairs &pairs, const unsigned char *memory, std::size_t n_bytes)
{
  const auto table = std::make_shared<const RadialTable<T>>(memory, radial().n_functions());
  tables_[radial().key(pairs[0].first, pairs[0].second)] = table;
  for (const auto &[centre, source] : pairs) of_pair_[centre * elements_.size() + source] = table.get();
  table_bytes_ += n_bytes;
}

// the pairs differ little: a sample stands for all
template <class T> double Layer<T>::table_bytes_of(const std::vector<int> &elements) const
{
  if (tolerance_ == 0.0 || elements.empty()) return 0.0;
  std::set<std::pair<int, int>> keys;
  for (int centre : elements)
    for (int source : elements) keys.insert(radial().key(centre, source));
  return static_cast<double>(keys.size()) * table_bytes(knots(elements.front(), elements.back()));
}

template <class T> std::size_t Layer<T>::n_bytes() const
{
  std::size_t n = bytes_of(message_, linear_, up_, skip_) +
      bytes_of(gate_.message, gate_.source, gate_.message_gates, gate_.source_gates, gate_.mixing);
  for (const auto &element : elements_)
    if (element) n += bytes_of(element->products, element->skip, element->constant_skip, element->constant_source);
  return n;
}

template class Layer<float>;
template class Layer<double>;

}    // namespace lmp_uq
