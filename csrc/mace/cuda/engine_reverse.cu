// SPDX-License-Identifier: GPL-2.0-or-later
// Gradients of weighted sums of energies and descriptors with respect to the edge vectors: the forward pass's transpose.
#include "mace/cuda/cuda_engine.h"

namespace lmp_uq::cuda {

template <class T>
void CudaEngine<T>::pull_to(const State &state, const GhostExchange &exchange, int n_sets, const PullWeights &weights, const Pulled &out)
{
  const std::lock_guard<std::mutex> lock(mutex_);
  const Evaluated &evaluated = dynamic_cast<const Evaluated &>(state);
  if (evaluated.layers.size() != layers_.size()) throw std::runtime_error("no derivatives were kept");
  const std::size_t n_edges = evaluated.graph.room(), n_local = evaluated.graph.n_local();
  for (int first = 0; first < n_sets; first += MAX_SETS) {
    const Weighting weighting = weighting_of(weights, first, std::min(MAX_SETS, n_sets - first), n_local);
    const std::size_t n = weighting.n_sets;
    work_.gradients.resize(n * n_edges * 3);
    work_.gradients.zero(stream_);
    pull_sets(evaluated, exchange, weighting);
    if (shape().repulsion && weights.energies)
      repulsion_gradients({evaluated.graph.edges(), static_cast<int>(n_local), shape().n_elements(), weighting.n_sets, n_edges, repulsion_.data(),
                           scale_, evaluated.graph.node(), weighting.weights.energies, work_.gradients.data()}, stream_);
    hand_over(evaluated, first, weighting.n_sets, out);
    stream_.wait();
  }
}

// of the sets first .. first+n_sets, on the device
template <class T>
typename CudaEngine<T>::Weighting CudaEngine<T>::weighting_of(const PullWeights &weights, int first, int n_sets, std::size_t n_local)
{
  const std::size_t width = shape().n_features();
  int k = 0;
  const auto there = [&](const double *from, std::size_t of_set) {
    DeviceArray<double> &to = work_.weights[k++];
    if (from) to.upload(from + first * of_set, n_sets * of_set, stream_);
    return from ? to.data() : nullptr;
  };
  Weighting out{n_sets, {}};
  out.weights.energies = there(weights.energies, n_local);
  out.weights.descriptors = there(weights.descriptors, n_local * width);
  out.weights.coefficients = there(weights.coefficients, width);
  out.weights.of_atoms = there(weights.of_atoms, n_local);
  return out;
}

// of the sets first .. first+n_sets, what is wanted of their gradients
template <class T> void CudaEngine<T>::hand_over(const Evaluated &state, int first, int n_sets, const Pulled &out)
{
  const DeviceList &list = state.graph.list();
  const std::size_t n = n_sets, n_numbers = 3 * list.n_graph_edges(), n_forces = 3 * static_cast<std::size_t>(list.n_nodes);
  const int room = state.graph.room();
  if (out.gradients) {
    work_.by_number.resize(n * n_numbers);
    list_gradients({static_cast<int>(list.n_graph_edges()), n_sets, room, list.id(), state.graph.edge_of(), work_.gradients.data(),
                    work_.by_number.data()}, stream_);
    work_.by_number.download(out.gradients + first * n_numbers, n * n_numbers, stream_);
  }
  if (!out.forces && !out.virials) return;
  work_.forces.resize(n * n_forces);
  work_.virial_parts.resize(6 * n * list.n_local);
  work_.virials.resize(6 * n);
  node_forces({list.n_local, list.n_nodes, n_sets, room, state.graph.edges().start, list.leaving_start(), list.leaving(), state.graph.edge_of(),
               state.graph.node(), state.graph.edges().vector, work_.gradients.data(), work_.forces.data(), work_.virial_parts.data()}, stream_);
  if (out.forces) work_.forces.download(out.forces + first * n_forces, n * n_forces, stream_);
  if (!out.virials) return;
  column_sums({list.n_local, n_sets, 6, work_.virial_parts.data(), work_.virials.data()}, stream_);
  work_.virials.download(out.virials + 6 * first, 6 * n, stream_);
}

template <class T> void CudaEngine<T>::pull_sets(const Evaluated &state, const GhostExchange &exchange, const Weighting &weighting)
{
  const std::size_t n_local = state.graph.n_local(), n_sets = weighting.n_sets;
  work_.overlap.resize(n_sets * n_local);
  const std::vector<Chunk> all = chunks(state, weighting.n_sets);
  for (int t = static_cast<int>(layers_.size()) - 1; t >= 0; --t) {
    const Layer &layer = *layers_[t];
    const std::size_t n_features = n_sets * state.graph.n_nodes() * layer.model().n_in() * layer.sent_wide();
    if (t > 0) skip_before(layer).resize(n_sets * n_local * layer.model().n_skip() * wide());
    if (t > 0) feature_gradient(layer).resize(n_features);
    if (t > 0 && all.empty()) feature_gradient(layer).zero(stream_);    // no atoms, but perhaps ghosts
    repeatedly(recording_of(layer, weighting), state, [&] {
      for (const Chunk &chunk : all) pull_chunk(layer, state, weighting, chunk, &chunk == &all.front());
    });
    if (t > 0) gather_ghosts(layer, state.graph.list(), exchange, weighting.n_sets, feature_gradient(layer));
  }
}

template <class T>
void CudaEngine<T>::pull_chunk(const Layer &layer, const Evaluated &state, const Weighting &weighting, const Chunk &chunk, bool first)
{
  const EdgeBatch<T> edges = prepare_chunk(layer, state, chunk);
  features_gradient(layer, state, weighting, chunk);
  products_gradient(layer, state, chunk, edges, weighting.n_sets);
  if (layer.shape().nonlinear) gate_gradient(layer, state, chunk, weighting.n_sets);
  else if (layer.number() > 0) messages_gradient(layer, chunk, weighting.n_sets);
  edges_gradient(layer, state, chunk, edges, weighting.n_sets, first);
  if (layer.shape().nonlinear && layer.number() > 0) add_own(layer, state, chunk, weighting.n_sets);
  if (layer.number() > 0) skip_gradient(layer, state, chunk, weighting.n_sets);
}

// gradient (set, n, n_out, C) of the features that a chunk's atoms have after a layer
template <class T>
void CudaEngine<T>::features_gradient(const Layer &layer, const Evaluated &state, const Weighting &weighting, const Chunk &chunk)
{
  const int n_out = layer.model().n_out(), n_sets = weighting.n_sets;
  const std::size_t n = chunk.n(), row = static_cast<std::size_t>(n_out) * wide(), n_local = state.graph.n_local();
  const Layer *next = layer.number() + 1 < static_cast<int>(layers_.size()) ? layers_[layer.number() + 1].get() : nullptr;
  work_.features_out.resize(n_sets * n * row);
  work_.features_out.zero(stream_);
  for (int set = 0; set < n_sets && next; ++set) {
    T *out = work_.features_out.data() + set * n * row;
    const std::size_t sent = next->sent_wide(), n_in = next->model().n_in(), n_skip = static_cast<std::size_t>(next->model().n_skip()) * wide();
    const T *from = feature_gradient(*next).data() + (static_cast<std::size_t>(set) * state.graph.n_nodes() + chunk.first) * n_in * sent;
    for (int l = 0; l <= next->shape().l_in; ++l)
      next->up(l).times_transposed(chunk.n() * (2 * l + 1), from + l * l * sent, rows(l, n_in, sent), out + l * l * wide(), rows(l, n_out, wide()), false,
                                   stream_);
    copy_rows<T>({n, n_skip, n_skip, row, skip_after(layer).data() + (set * n_local + chunk.first) * n_skip, out, true}, stream_);
  }
  work_.work.resize(n * 2 * shape().n_gate);
  work_.slope.resize(n * shape().n_channels);
  read_out_gradient<T>({layer.readout(), chunk.n(), n_sets, shape().n_channels, shape().n_features(), layer.number() * shape().n_channels,
                        static_cast<int>(n_local), state.descriptors.data() + scalars_at(layer, chunk.first), state.graph.node() + chunk.first, scale_, work_.work.data(), work_.slope.data(),
                        weighting.weights, row, work_.features_out.data()}, stream_);
}

// gradient of a chunk's A times nu, and what it leaves for nu in work_.overlap
template <class T>
void CudaEngine<T>::products_gradient(const Layer &layer, const Evaluated &state, const Chunk &chunk, const EdgeBatch<T> &edges, int n_sets)
{
  const LayerState &kept = state.layers[layer.number()];
  const int n_out = layer.model().n_out(), n_blocks = wide() / LANES;
  const std::size_t n_rows = static_cast<std::size_t>(n_sets) * chunk.n(), n_row = static_cast<std::size_t>(n_harmonics()) * wide();
  work_.products.resize(n_rows * n_out * wide());
  work_.gradient_in.resize(n_rows * n_row);
  work_.parts.resize(n_rows * n_blocks);
  for (int l = 0; l <= layer.shape().l_out; ++l)
    layer.linear(l).times_transposed(static_cast<int>(n_rows) * (2 * l + 1), work_.features_out.data() + l * l * wide(), rows(l, n_out, wide()),
                                     work_.products.data() + l * l * wide(), rows(l, n_out, wide()), false, stream_);
  const T *in = kept.products_in.size() ? kept.products_in.data() + chunk.first * n_row : nullptr;
  if (!in) {
    work_.first_in.resize(chunk.n() * n_row);
    sum_messages(layer, state, chunk, edges, work_.first_in.data());
    in = work_.first_in.data();
  }
  product_reverse<T>({layer.polynomial(), chunk.n(), n_blocks, n_sets, state.graph.element() + chunk.first, layer.coefficients(), in,
                      work_.products.data(), work_.gradient_in.data(), layer.shape().nonlinear ? nullptr : kept.norm.data() + chunk.first,
                      work_.parts.data()}, stream_);
  add_blocks({chunk.n(), n_sets, n_blocks, work_.parts.data(), work_.overlap.data() + chunk.first, static_cast<std::size_t>(state.graph.n_local())}, stream_);
}

template <class T> void CudaEngine<T>::messages_gradient(const Layer &layer, const Chunk &chunk, int n_sets)
{
  const int n_rows = n_sets * chunk.n();
  work_.messages.resize(n_rows * sum_size(layer));
  for (int l = 0; l <= shape().l_max; ++l)
    layer.message(l).times_transposed(n_rows * (2 * l + 1), work_.gradient_in.data() + l * l * wide(), rows(l, n_harmonics(), wide()),
                                      work_.messages.data() + first_sum(layer, l), sum_rows(layer, l), false, stream_);
}

template <class T>
void CudaEngine<T>::edges_gradient(const Layer &layer, const Evaluated &state, const Chunk &chunk, const EdgeBatch<T> &edges, int n_sets, bool first)
{
  const LayerState &kept = state.layers[layer.number()];
  const std::size_t n = static_cast<std::size_t>(n_sets) * chunk.n_edges();
  int n_parts = edges.n_blocks;
  if (layer.number() == 0) {
    n_parts = first_gradient(layer, state, chunk, edges, n_sets, layer.shape().nonlinear ? work_.messages.data() : work_.gradient_in.data());
  } else {
    work_.edge_sums.resize(n * n_parts * MAX_HARMONICS);
    work_.edge_features.resize(n * layer.model().n_in() * layer.sent_wide());
    message_reverse<T>({edges, n_sets, kept.features.data(), layer.uncouple(), work_.messages.data(), work_.edge_features.data(), work_.edge_sums.data()},
                       layer.shape().l_in, shape().l_max, stream_);
    const DeviceList &list = state.graph.list();
    gather_sources<T>({state.graph.n_nodes(), n_sets, edges.n_blocks, chunk.first_edge, chunk.n_edges(), list.leaving_start(), list.leaving(),
                       state.graph.edge_of(), list.start()[chunk.first], list.start()[chunk.last], work_.edge_features.data(), !first,
                       feature_gradient(layer).data()}, layer.shape().l_in, stream_);
  }
  edge_gradients<T>({state.graph.edges(), chunk.first_edge, chunk.n_edges(), chunk.last, n_sets, n_parts, shape().l_max,
                     static_cast<std::size_t>(state.graph.room()), static_cast<std::size_t>(state.graph.n_local()), work_.per_length.data(),
                     work_.density_slope.data(), work_.edge_sums.data(), kept.norm.data(), work_.overlap.data(), work_.gradients.data()}, stream_);
}

template <class T> void CudaEngine<T>::skip_gradient(const Layer &layer, const Evaluated &state, const Chunk &chunk, int n_sets)
{
  const int n_out = layer.model().n_out(), n_skip = layer.model().n_skip();
  for (int set = 0; set < n_sets; ++set)
    for (const Chunk::Range &range : chunk.ranges) {
      const std::vector<DeviceMatrix<T>> &skip = layer.skip(range.element);
      const std::size_t row = static_cast<std::size_t>(set) * chunk.n() + range.first - chunk.first;
      const std::size_t to = static_cast<std::size_t>(set) * state.graph.n_local() + range.first;
      for (std::size_t l = 0; l < skip.size(); ++l)
        skip[l].times_transposed((range.last - range.first) * (2 * l + 1), work_.features_out.data() + (row * n_out + l * l) * wide(),
                                 rows(l, n_out, wide()), skip_before(layer).data() + (to * n_skip + l * l) * wide(), rows(l, n_skip, wide()), false, stream_);
    }
}

template class CudaEngine<float>;
template class CudaEngine<double>;

}    // namespace lmp_uq::cuda
