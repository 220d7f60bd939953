// SPDX-License-Identifier: GPL-2.0-or-later
// Energies and descriptors.
#include "mace/cpu/mace_engine.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace lmp_uq {

template <class T>
std::unique_ptr<Engine::State> MaceEngine<T>::evaluate(const AtomGraph &graph, const GhostExchange &exchange, bool keep, double *energies,
                                                       double *descriptors)
{
  auto state = std::make_unique<Evaluated>(std::make_shared<SortedGraph>(graph, shape().cutoff, shape().n_elements(), n_threads_), spare_);
  if (!exchange.forward && graph.n_nodes != graph.n_local)
    throw std::runtime_error("graph: " + std::to_string(graph.n_nodes - graph.n_local) + " ghosts but no exchange to fill them");
  prepare(state->graph);
  std::unique_ptr<Workspace> w = borrow();
  state->layers.resize(layers_.size());
  if (energies) add_atomic_energies(*state, energies);
  for (std::size_t t = 0; t < layers_.size(); ++t) {
    const Layer<T> &layer = *layers_[t], *next = t + 1 < layers_.size() ? layers_[t + 1].get() : nullptr;
    resize(layer, next, keep, *state, *w);
    over_batches(state->graph, *w, [&](const Batch &batch, Scratch &scratch) {
      LayerState &kept = state->layers[t];
      const int n = batch.last - batch.first;
      const std::size_t row = static_cast<std::size_t>(n_harmonics()) * wide_;
      const bool keeps_sums = keep && layer.keeps_sums();
      if (!keeps_sums) scratch.first_in.resize(n * row);
      T *sums = keeps_sums ? kept.products_in.data() + batch.first * row : scratch.first_in.data();
      scratch.edges.prepare(layer, state->graph, batch, shape().l_max);
      scratch.norm.resize(n);
      for (int i = 0; i < n; ++i) scratch.norm[i] = kept.norm[batch.first + i] = layer.norm(scratch.edges.density(i));
      sum_messages(layer, kept, state->graph.n_nodes, n, scratch, sums);
      if (layer.shape().nonlinear) gate_messages(layer, kept, state->graph, batch, scratch, sums);
      update_features(layer, batch, sums, *w, scratch);
      read_out(layer, *state, batch, scratch, energies, descriptors);
      if (next) send(*next, *state, batch, *w, scratch);
    });
    if (!keep) state->layers[t] = {};
    if (next) fill_ghosts(*next, state->graph, exchange, state->layers[t + 1].features);
    std::swap(w->before, w->after);
  }
  if (energies && shape().repulsion) add_repulsion(*state, energies);
  give_back(std::move(w));
  if (!keep) state.reset();
  return state;
}

template <class T> void MaceEngine<T>::resize(const Layer<T> &layer, const Layer<T> *next, bool keep, Evaluated &state, Workspace &w) const
{
  const std::size_t n_local = state.graph.n_local;
  LayerState &kept = state.layers[layer.number()];
  // arrays of a state before, which others may have kept
  kept.products_in.resize(keep && layer.keeps_sums() ? n_local * n_harmonics() * wide_ : 0);
  if (layer.shape().nonlinear) kept.before_gate.resize(n_local * layer.n_before_gate() * wide_);
  kept.norm.resize(n_local);
  kept.scalars.resize(keep && keeps_scalars(layer.shape().readout) ? n_local * wide_ : 0);
  if (!next) return;
  w.after.resize(n_local * next->n_skip() * wide_);
  state.layers[next->number()].features.resize(features_of(*next, state.graph).size(next->sent_wide()));
}

template <class T> void MaceEngine<T>::add_atomic_energies(const Evaluated &state, double *energies) const
{
  over_rows(n_threads_, state.graph.n_local, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row)
      energies[state.graph.node[row]] = atomic_energies_[state.graph.element[row]] + shift_;
  });
}

// A_i = nu_i sum_j messages of n centres, whose edges and norms nu are prepared; of a nonlinear layer only the sums, in s.messages
template <class T>
void MaceEngine<T>::sum_messages(const Layer<T> &layer, const LayerState &kept, int n_nodes, int n, Scratch &s, T *out) const
{
  const bool nonlinear = layer.shape().nonlinear;
  if (layer.number() > 0 || nonlinear) s.messages.resize(sums_size(layer, n));
  if (layer.number() == 0) {
    layer.kernels().first_forward({s.edges.view(), layer.sent_wide(), s.norm.data(), nonlinear ? s.messages.data() : out});
  } else {
    const Paths &paths = layer.paths();
    layer.kernels().message_forward({s.edges.view(), layer.sent_wide(), n_nodes, kept.features.data(), s.norm.data(),
                                     layer.couple(), s.messages.data()});
    for (int l = 0; l <= shape().l_max && !nonlinear; ++l)
      layer.kernels().gemm(layer.message(l).forward.product(n * (2 * l + 1), s.messages.data() + paths.block[l] * block<T>(),
                                                            message_rows(paths, l, n), out + l * l * wide_, rows(l, n_harmonics()), false));
  }
}

// h = products Lin + skip, in s.features
template <class T>
void MaceEngine<T>::update_features(const Layer<T> &layer, const Batch &batch, const T *in, const Workspace &w, Scratch &s) const
{
  const int n = batch.last - batch.first, n_out = layer.n_out(), n_skip = layer.n_skip();
  const ElementWeights<T> &element = layer.element(batch.element);
  s.features.resize(static_cast<std::size_t>(n) * n_out * wide_);
  T *out = s.features.data();
  s.products.resize(static_cast<std::size_t>(n) * n_out * wide_);
  layer.kernels().product_forward({layer.products().view(), n, wide_, element.products.data(), in, s.products.data()});
  for (int l = 0; l <= layer.shape().l_out; ++l)
    layer.kernels().gemm(layer.linear(l).forward.product(n * (2 * l + 1), s.products.data() + l * l * wide_, rows(l, n_out),
                                                         out + l * l * wide_, rows(l, n_out), false));
  const std::vector<Linear<T>> &skip = layer.skip(batch.element);
  for (std::size_t l = 0; l < skip.size(); ++l)
    layer.kernels().gemm(skip[l].forward.product(
        n * (2 * l + 1), w.before.data() + (static_cast<std::size_t>(batch.first) * n_skip + l * l) * wide_, rows(l, n_skip),
        out + l * l * wide_, rows(l, n_out), true));
  for (int i = 0; i < n && layer.number() == 0; ++i)
    for (int c = 0; c < wide_; ++c) out[static_cast<std::size_t>(i) * n_out * wide_ + c] += element.constant_skip[c];
}

template <class T>
void MaceEngine<T>::read_out(const Layer<T> &layer, Evaluated &state, const Batch &batch, const Scratch &s, double *energies,
                             double *descriptors) const
{
  const int n_channels = shape().n_channels;
  LayerState &kept = state.layers[layer.number()];
  for (int row = batch.first; row < batch.last; ++row) {
    const T *scalars = s.features.data() + static_cast<std::size_t>(row - batch.first) * layer.n_out() * wide_;
    const std::size_t node = state.graph.node[row];
    double *out = descriptors + node * shape().n_features() + layer.number() * n_channels;
    for (int c = 0; c < n_channels; ++c) out[c] = static_cast<double>(scalars[c]);
    if (kept.scalars.size()) std::copy(scalars, scalars + wide_, kept.scalars.data() + static_cast<std::size_t>(row) * wide_);
    if (energies) energies[node] += scale_ * energy_of(layer, scalars);
  }
}

template <class T> double MaceEngine<T>::energy_of(const Layer<T> &layer, const T *scalars) const
{
  if (layer.shape().readout == Readout::None) return 0.0;
  if (layer.shape().readout == Readout::Linear) return linear_readout(scalars, shape().n_channels, layer.readout_linear().data());
  std::vector<double> work(2 * static_cast<std::size_t>(shape().n_gate));
  if (layer.shape().readout == Readout::Biased)
    return twice_gated_readout(layer.readout_biased().view(shape().n_channels), scalars, work.data());
  return lmp_uq::gated_readout(gated_readout(layer), scalars, work.data());
}

// x of the next layer for a batch of local atoms, and what its skip will take
template <class T>
void MaceEngine<T>::send(const Layer<T> &next, Evaluated &state, const Batch &batch, Workspace &w, const Scratch &s) const
{
  const int n = batch.last - batch.first, n_in = next.n_in(), n_skip = next.n_skip();
  const BlockedRows<T> features = features_of(next, state.graph);
  const T *from = s.features.data();
  T *to = state.layers[next.number()].features.data();
  for (int l = 0; l <= next.shape().l_in; ++l)
    next.kernels().gemm(next.up(l).forward.product(n * (2 * l + 1), from + l * l * wide_, rows(l, n_in),
                                                   to + features.offset(batch.first, 0, l * l), features.of_degree(l), false));
  for (int i = 0; i < n; ++i)
    std::copy_n(from + static_cast<std::size_t>(i) * n_in * wide_, n_skip * wide_,
                w.after.data() + static_cast<std::size_t>(batch.first + i) * n_skip * wide_);
}

template <class T> void MaceEngine<T>::add_repulsion(const Evaluated &state, double *energies) const
{
  const SortedGraph &graph = state.graph;
  over_rows(n_threads_, graph.n_local, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      double sum = 0.0;
      for (int e = graph.start[row]; e < graph.start[row + 1]; ++e)
        sum += lmp_uq::repulsion(graph.length[e], repulsion(graph.element[row], graph.element[graph.source[e]])).value;
      energies[graph.node[row]] += scale_ * sum;
    }
  });
}

template class MaceEngine<float>;
template class MaceEngine<double>;

}    // namespace lmp_uq
