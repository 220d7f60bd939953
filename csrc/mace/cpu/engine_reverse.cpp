// SPDX-License-Identifier: GPL-2.0-or-later
// Gradients of weighted sums of energies and descriptors with respect to the edge vectors: the forward pass's transpose, by hand.
#include "mace/cpu/mace_engine.h"

#include "formulas/edge_gradient.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace lmp_uq {

template <class T>
void MaceEngine<T>::pull(const State &state, const GhostExchange &exchange, int n_sets, const double *energy_weights,
                         const double *descriptor_weights, double *gradients)
{
  const Evaluated &evaluated = dynamic_cast<const Evaluated &>(state);
  const std::size_t n_edges = evaluated.graph.n_graph_edges, n_local = evaluated.graph.n_local, n_weights = n_local * shape().n_features();
  over_rows(n_threads_, n_sets * static_cast<std::int64_t>(n_edges) * 3,
            [&](std::int64_t first, std::int64_t last) { std::fill(gradients + first, gradients + last, 0.0); });
  std::unique_ptr<Workspace> w = borrow();
  for (int first = 0; first < n_sets; first += MAX_SETS) {
    const Weighting weighting{std::min(MAX_SETS, n_sets - first), energy_weights ? energy_weights + first * n_local : nullptr,
                              descriptor_weights ? descriptor_weights + first * n_weights : nullptr, gradients + first * n_edges * 3};
    pull(evaluated, exchange, weighting, *w);
    if (shape().repulsion && energy_weights) add_repulsion_gradient(evaluated, weighting);
  }
  give_back(std::move(w));
}

// w.after: what the next layer's skip gives to the gradient of the features of this one; w.before: what this one's gives
template <class T>
void MaceEngine<T>::pull(const Evaluated &state, const GhostExchange &exchange, const Weighting &weighting, Workspace &w) const
{
  const SortedGraph &graph = state.graph;
  for (int t = static_cast<int>(layers_.size()) - 1; t >= 0; --t) {
    const Layer<T> &layer = *layers_[t];
    if (t > 0) clear_feature_gradients(layer, graph, weighting.n_sets, w);
    if (t > 0) w.before.resize(static_cast<std::size_t>(weighting.n_sets) * graph.n_local * layer.n_skip() * wide_);
    over_batches(graph, w, [&](const Batch &batch, Scratch &scratch) {
      scratch.edges.prepare(layer, graph, batch, shape().l_max);
      features_gradient(layer, state, batch, weighting, w, scratch);
      products_gradient(layer, state, batch, weighting.n_sets, scratch);
      if (layer.shape().nonlinear) gate_gradient(layer, state, batch, weighting.n_sets, w, scratch);
      else if (t > 0) messages_gradient(layer, batch, weighting.n_sets, scratch);
      edges_gradient(layer, state, batch, weighting, scratch);
      if (t > 0) skip_gradient(layer, graph, batch, weighting.n_sets, w, scratch);
    });
    if (t == 0) break;
    add_up(layer, graph, weighting.n_sets, w);
    gather_ghosts(layer, graph, exchange, weighting.n_sets, w.feature_gradient());
    std::swap(w.sent, w.feature_gradient());
    std::swap(w.before, w.after);
  }
}

// gradient of the features that a batch's atoms have after a layer
template <class T>
void MaceEngine<T>::features_gradient(const Layer<T> &layer, const Evaluated &state, const Batch &batch, const Weighting &weighting,
                                      const Workspace &w, Scratch &s) const
{
  s.features_out.zero(static_cast<std::size_t>(weighting.n_sets) * (batch.last - batch.first) * layer.n_out() * wide_);
  if (layer.number() + 1 < static_cast<int>(layers_.size()))
    sent_gradient(*layers_[layer.number() + 1], state.graph, batch, weighting.n_sets, w, s);
  add_readout_gradient(layer, state, batch, weighting, s);
}

// what the next layer adds to it, by what its edges fetch and by its skip
template <class T>
void MaceEngine<T>::sent_gradient(const Layer<T> &next, const SortedGraph &graph, const Batch &batch, int n_sets, const Workspace &w,
                                  Scratch &s) const
{
  const int n = batch.last - batch.first, n_out = next.n_in(), n_skip = next.n_skip() * wide_;
  const BlockedRows<T> features = features_of(next, graph, n_sets);
  for (int set = 0; set < n_sets; ++set) {
    T *out = s.features_out.data() + static_cast<std::size_t>(set) * n * n_out * wide_;
    for (int l = 0; l <= next.shape().l_in; ++l)
      next.kernels().gemm(next.up(l).reverse.product(n * (2 * l + 1), w.sent.data() + features.offset(batch.first, set, l * l),
                                                     features.of_degree(l), out + l * l * wide_, rows(l, n_out), false));
    const T *skip = w.after.data() + (static_cast<std::size_t>(set) * graph.n_local + batch.first) * n_skip;
    for (int i = 0; i < n; ++i)
      for (int c = 0; c < n_skip; ++c) out[static_cast<std::size_t>(i) * n_out * wide_ + c] += skip[static_cast<std::size_t>(i) * n_skip + c];
  }
}

template <class T>
void MaceEngine<T>::add_readout_gradient(const Layer<T> &layer, const Evaluated &state, const Batch &batch, const Weighting &weighting,
                                         Scratch &s) const
{
  const SortedGraph &graph = state.graph;
  const int n = batch.last - batch.first, n_channels = shape().n_channels, n_features = shape().n_features();
  std::vector<double> energy(n_channels);
  for (int i = 0; i < n; ++i) {
    const int row = batch.first + i;
    const std::size_t node = graph.node[row];
    std::fill(energy.begin(), energy.end(), 0.0);
    if (weighting.energy) energy_gradient(layer, state.layers[layer.number()], row, energy);
    for (int set = 0; set < weighting.n_sets; ++set) {
      T *out = s.features_out.data() + (static_cast<std::size_t>(set) * n + i) * layer.n_out() * wide_;
      const std::size_t place = static_cast<std::size_t>(set) * graph.n_local + node;
      const double weight = weighting.energy ? weighting.energy[place] : 0.0;
      const double *more = weighting.descriptors;
      if (more) more += place * n_features + layer.number() * n_channels;
      for (int c = 0; c < n_channels; ++c) out[c] += static_cast<T>(weight * energy[c] + (more ? more[c] : 0.0));
    }
  }
}

// out += dE/d(scalars) of one atom
template <class T>
void MaceEngine<T>::energy_gradient(const Layer<T> &layer, const LayerState &state, int row, std::vector<double> &out) const
{
  if (layer.shape().readout == Readout::Linear)
    for (int c = 0; c < shape().n_channels; ++c) out[c] += scale_ * layer.readout_linear()[c];
  if (!keeps_scalars(layer.shape().readout)) return;
  const T *scalars = state.scalars.data() + static_cast<std::size_t>(row) * wide_;
  std::vector<double> work(2 * static_cast<std::size_t>(shape().n_gate));
  if (layer.shape().readout == Readout::Biased)
    return add_twice_gated_readout_gradient(layer.readout_biased().view(shape().n_channels), scalars, scale_, work.data(), out.data());
  add_gated_readout_gradient(gated_readout(layer), scalars, scale_, work.data(), out.data());
}

// a batch's A
template <class T>
const T *MaceEngine<T>::summed_messages(const Layer<T> &layer, const Evaluated &state, const Batch &batch, Scratch &s) const
{
  const LayerState &kept = state.layers[layer.number()];
  const std::size_t row = static_cast<std::size_t>(n_harmonics()) * wide_;
  if (layer.keeps_sums()) return kept.products_in.data() + batch.first * row;
  const int n = batch.last - batch.first;
  s.first_in.resize(n * row);
  sum_messages(layer, kept, state.graph.n_nodes, n, s, s.first_in.data());
  return s.first_in.data();
}

// gradient of a batch's A times nu in s.gradient_in, and what it leaves for nu in s.overlap; of a nonlinear layer without nu
template <class T>
void MaceEngine<T>::products_gradient(const Layer<T> &layer, const Evaluated &state, const Batch &batch, int n_sets, Scratch &s) const
{
  const int n = batch.last - batch.first, n_out = layer.n_out();
  const LayerState &kept = state.layers[layer.number()];
  const std::size_t set_out = static_cast<std::size_t>(n) * n_out * wide_, set_in = static_cast<std::size_t>(n) * n_harmonics() * wide_;
  s.products.resize(n_sets * set_out);
  s.gradient_in.resize(n_sets * set_in);
  s.overlap.assign(static_cast<std::size_t>(n_sets) * n, 0.0);
  s.norm.assign(kept.norm.begin() + batch.first, kept.norm.begin() + batch.last);
  if (layer.shape().nonlinear) s.norm.assign(n, T(1));
  for (int set = 0; set < n_sets; ++set) {
    const T *from = s.features_out.data() + set * set_out;
    for (int l = 0; l <= layer.shape().l_out; ++l)
      layer.kernels().gemm(layer.linear(l).reverse.product(n * (2 * l + 1), from + l * l * wide_, rows(l, n_out),
                                                           s.products.data() + set * set_out + l * l * wide_, rows(l, n_out), false));
  }
  layer.kernels().product_reverse({layer.products().view(), n, wide_, n_sets, layer.element(batch.element).products.data(),
                                   summed_messages(layer, state, batch, s),
                                   s.products.data(), set_out, s.gradient_in.data(), set_in, s.norm.data(), s.overlap.data()});
}

template <class T>
void MaceEngine<T>::messages_gradient(const Layer<T> &layer, const Batch &batch, int n_sets, Scratch &s) const
{
  const int n = batch.last - batch.first;
  const Paths &paths = layer.paths();
  const std::size_t set_in = static_cast<std::size_t>(n) * n_harmonics() * wide_, set_out = static_cast<std::size_t>(n) * paths.n_message * wide_;
  s.messages.resize(n_sets * set_out);
  for (int set = 0; set < n_sets; ++set)
    for (int l = 0; l <= shape().l_max; ++l)
      layer.kernels().gemm(layer.message(l).reverse.product(
          n * (2 * l + 1), s.gradient_in.data() + set * set_in + l * l * wide_, rows(l, n_harmonics()),
          s.messages.data() + set * set_out + paths.block[l] * block<T>(), message_rows(paths, l, n), false));
}

template <class T>
void MaceEngine<T>::edges_gradient(const Layer<T> &layer, const Evaluated &state, const Batch &batch, const Weighting &weighting,
                                   Scratch &scratch) const
{
  const SortedGraph &graph = state.graph;
  const int n = batch.last - batch.first, n_sets = weighting.n_sets;
  const BatchEdges<T> &edges = scratch.edges;
  scratch.edge_gradient.zero(static_cast<std::size_t>(edges.n_edges()) * n_sets * MAX_HARMONICS);
  if (layer.number() == 0) {
    const Aligned<T> &gradient = layer.shape().nonlinear ? scratch.messages : scratch.gradient_in;
    layer.kernels().first_reverse({edges.view(), layer.sent_wide(), n_sets, gradient.data(),
                                   static_cast<std::size_t>(n) * n_harmonics() * layer.sent_wide(), scratch.edge_gradient.data()});
  } else {
    layer.kernels().message_reverse({edges.view(), layer.sent_wide(), graph.n_nodes, n_sets, state.layers[layer.number()].features.data(),
                                     graph.slots() + graph.start[batch.first], scratch.n_slots,
                                     layer.uncouple(), scratch.messages.data(), sums_size(layer, n), scratch.feature_gradient.data(),
                                     scratch.edge_gradient.data()});
  }
  for (int i = 0; i < n; ++i)
    for (int k = graph.start[batch.first + i]; k < graph.start[batch.first + i + 1]; ++k) {
      const int e = k - graph.start[batch.first];
      const double *u = graph.direction.data() + 3 * static_cast<std::size_t>(k);
      for (int set = 0; set < n_sets; ++set) {
        const double *s = scratch.edge_gradient.data() + (static_cast<std::size_t>(e) * n_sets + set) * MAX_HARMONICS;
        const double of_density = -state.layers[layer.number()].norm[batch.first + i] * scratch.overlap[static_cast<std::size_t>(set) * n + i];
        const double radial = s[0] * edges.per_length(e) + of_density * edges.density_slope(e);
        double *out = weighting.gradients + (set * static_cast<std::size_t>(graph.n_graph_edges) + graph.id[k]) * 3;
        add_edge_gradient(u, graph.length[k], radial, s, shape().l_max, out);
      }
    }
}

template <class T>
void MaceEngine<T>::skip_gradient(const Layer<T> &layer, const SortedGraph &graph, const Batch &batch, int n_sets, Workspace &w,
                                  const Scratch &s) const
{
  const int n = batch.last - batch.first, n_out = layer.n_out(), n_skip = layer.n_skip();
  const std::vector<Linear<T>> &skip = layer.skip(batch.element);
  for (int set = 0; set < n_sets; ++set) {
    const T *from = s.features_out.data() + static_cast<std::size_t>(set) * n * n_out * wide_;
    T *to = w.before.data() + (static_cast<std::size_t>(set) * graph.n_local + batch.first) * n_skip * wide_;
    for (std::size_t l = 0; l < skip.size(); ++l)
      layer.kernels().gemm(skip[l].reverse.product(n * (2 * l + 1), from + l * l * wide_, rows(l, n_out), to + l * l * wide_,
                                                           rows(l, n_skip), false));
  }
}

// zeros where the threads will add
template <class T>
void MaceEngine<T>::clear_feature_gradients(const Layer<T> &layer, const SortedGraph &graph, int n_sets, Workspace &w) const
{
  const std::size_t n_features = features_of(layer, graph, n_sets).size(layer.sent_wide());
  w.feature_gradient().resize(n_features);
  if (layer.shape().nonlinear) w.own.resize(BlockedRows<T>{graph.n_local, layer.n_in(), n_sets}.size(layer.sent_wide()));
  in_parallel(n_threads_, [&](int thread) {
    T *first = w.feature_gradient().data();
    std::fill(first + n_features * thread / n_threads_, first + n_features * (thread + 1) / n_threads_, T(0));
    Scratch &own = w.threads[thread];
    own.n_slots = graph.n_slots(thread);
    if (thread > 0) own.feature_gradient.zero(BlockedRows<T>{own.n_slots, layer.n_in(), n_sets}.size(layer.sent_wide()));
  });
}

// what all threads found, in the order of the threads, in the array of the first
template <class T> void MaceEngine<T>::add_up(const Layer<T> &layer, const SortedGraph &graph, int n_sets, Workspace &w) const
{
  const BlockedRows<T> all = features_of(layer, graph, n_sets);
  const int length = n_sets * all.n_components * block<T>();
  const auto add = [&](int thread, std::int64_t first, std::int64_t last) {
    const std::vector<int> &rows = graph.touched[thread];
    const BlockedRows<T> own{graph.n_slots(thread), all.n_components, n_sets};
    const auto place = [&](std::int64_t row) { return std::lower_bound(rows.begin(), rows.end(), row) - rows.begin(); };
    const std::ptrdiff_t begin = place(first), end = place(last);
    for (int c = 0; c < layer.sent_wide(); c += block<T>())
      for (std::ptrdiff_t slot = begin; slot < end; ++slot) {
        const T *more = w.threads[thread].feature_gradient.data() + own.offset(slot, 0, 0, c);
        T *sum = w.feature_gradient().data() + all.offset(rows[slot], 0, 0, c);
        for (int k = 0; k < length; ++k) sum[k] += more[k];
      }
  };
  over_rows(n_threads_, graph.n_nodes, [&](std::int64_t first, std::int64_t last) {
    for (int thread = 1; thread < n_threads_; ++thread) add(thread, first, last);
    if (layer.shape().nonlinear) add_own(layer, graph, n_sets, first, std::min<std::int64_t>(last, graph.n_local), w);
  });
}

template <class T> void MaceEngine<T>::add_repulsion_gradient(const Evaluated &state, const Weighting &weighting) const
{
  const SortedGraph &graph = state.graph;
  over_rows(n_threads_, graph.n_local, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row)
      for (int e = graph.start[row]; e < graph.start[row + 1]; ++e) {
        const Jet pair = lmp_uq::repulsion(graph.length[e], repulsion(graph.element[row], graph.element[graph.source[e]]));
        const double slope = scale_ * pair.first;
        for (int set = 0; set < weighting.n_sets && slope != 0.0; ++set) {
          const double weighted = slope * weighting.energy[static_cast<std::size_t>(set) * graph.n_local + graph.node[row]];
          double *out = weighting.gradients + (set * static_cast<std::size_t>(graph.n_graph_edges) + graph.id[e]) * 3;
          for (int x = 0; x < 3; ++x) out[x] += weighted * graph.direction[3 * static_cast<std::size_t>(e) + x];
        }
      }
  });
}

template class MaceEngine<float>;
template class MaceEngine<double>;

}    // namespace lmp_uq
