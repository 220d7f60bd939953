// SPDX-License-Identifier: GPL-2.0-or-later
// Energies and descriptors.
#include "mace/cuda/cuda_engine.h"

#include <algorithm>

namespace lmp_uq::cuda {

template <class T>
std::unique_ptr<Engine::State> CudaEngine<T>::evaluate(const AtomGraph &graph, const GhostExchange &exchange, bool keep, double *energies,
                                                       double *descriptors)
{
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::shared_ptr<const DeviceList> list = list_of(graph);
  const int n_local = list->n_local;
  auto state = std::make_unique<Evaluated>(spare_);
  state->graph.take(list, graph, shape().cutoff, lasts(*list), stream_);
  if (!exchange.forward && graph.n_nodes != graph.n_local)
    throw std::runtime_error("graph: " + std::to_string(graph.n_nodes - graph.n_local) + " ghosts but no exchange to fill them");
  state->layers.resize(layers_.size());
  state->layers[0].common = layers_[0]->common_shape(list->elements());
  find_own_rows(*state);
  std::vector<double> by_row(n_local);
  for (int row = 0; row < n_local; ++row) by_row[row] = atomic_energies_[list->element[row]] + shift_;
  state->energies.upload(by_row, stream_);
  state->descriptors.resize(static_cast<std::size_t>(n_local) * shape().n_features());
  const std::vector<Chunk> all = chunks(*state, 1);
  const auto after = [&](std::size_t t) { return t + 1 < layers_.size() ? layers_[t + 1].get() : nullptr; };
  for (std::size_t t = 0; t < layers_.size(); ++t) make_room(*layers_[t], after(t), *state, keep);
  for (std::size_t t = 0; t < layers_.size(); ++t) {
    const Layer *next = after(t);
    repeatedly(forward_[{static_cast<int>(t), 2 * keep + (energies != nullptr)}], *state, [&] {
      for (const Chunk &chunk : all) run_chunk(*layers_[t], next, *state, chunk, energies);
    });
    if (next) fill_ghosts(*next, *list, exchange, state->layers[t + 1].features);
  }
  if (energies && shape().repulsion)
    repulsion_energies({state->graph.edges(), n_local, shape().n_elements(), repulsion_.data(), scale_, state->energies.data()}, stream_);
  if (energies) state->energies.download(by_row.data(), by_row.size(), stream_);
  else state->energies.resize(0);
  stream_.wait();
  for (int row = 0; row < n_local && energies; ++row) energies[list->node[row]] = by_row[row];
  if (descriptors) download(*state, descriptors);
  if (!keep && descriptors) state.reset();
  else if (!keep) state->forget_derivatives();
  return state;
}

template <class T> void CudaEngine<T>::descriptors(const State &state, double *out)
{
  const std::lock_guard<std::mutex> lock(mutex_);
  download(dynamic_cast<const Evaluated &>(state), out);
}

// descriptors, by node
template <class T> void CudaEngine<T>::download(const Evaluated &state, double *out)
{
  const std::size_t width = shape().n_features();
  const std::vector<T> rows = state.descriptors.to_host(stream_);
  for (std::size_t row = 0; row * width < rows.size(); ++row)
    std::copy_n(rows.data() + row * width, width, out + state.graph.list().node[row] * width);
}

// Rows of their own for the edges of each layer that no table covers: made on the host.
template <class T> void CudaEngine<T>::find_own_rows(Evaluated &state)
{
  const int n_edges = state.graph.n_edges(), n_layers = static_cast<int>(layers_.size());
  const auto find = [&](int t, Uncovered *out) {
    find_uncovered<T>({state.graph.edges(), n_edges, shape().n_elements(), tables_of(*layers_[t], state), work_.n_uncovered.data() + t, out}, stream_);
  };
  work_.n_uncovered.resize(n_layers);
  work_.n_uncovered.zero(stream_);
  for (int t = 0; t < n_layers; ++t) find(t, nullptr);
  const std::vector<int> n = work_.n_uncovered.to_host(stream_);
  work_.n_uncovered.zero(stream_);
  for (int t = 0; t < n_layers; ++t) {
    std::vector<Uncovered> found;
    if (n[t] > 0) {
      work_.uncovered.resize(n[t]);
      find(t, work_.uncovered.data());
      found = work_.uncovered.to_host(stream_);
    }
    state.layers[t].own = layers_[t]->own_rows(n_edges, found, stream_);
  }
}

// of what a state keeps, and of all atoms
template <class T> void CudaEngine<T>::make_room(const Layer &layer, const Layer *next, Evaluated &state, bool keep)
{
  const std::size_t n_local = state.graph.n_local(), n_row = static_cast<std::size_t>(n_harmonics()) * wide();
  LayerState &kept = state.layers[layer.number()];
  kept.norm.resize(n_local);
  kept.products_in.resize(keep && keeps_sums(layer, state) ? n_local * n_row : 0);    // or what a state before kept
  if (layer.shape().nonlinear) kept.before_gate.resize(n_local * layer.model().n_before_gate() * wide());
  if (next) {
    skip_after(layer).resize(n_local * next->model().n_skip() * wide());
    state.layers[next->number()].features.resize(static_cast<std::size_t>(state.graph.n_nodes()) * next->model().n_in() * next->sent_wide());
  }
}

// what the loops over the edges of a chunk need
template <class T>
EdgeBatch<T> CudaEngine<T>::prepare_chunk(const Layer &layer, const Evaluated &state, const Chunk &chunk)
{
  const std::size_t n = chunk.n_edges();
  Workspace &w = work_;
  w.harmonics.resize(n * MAX_HARMONICS);
  w.row.resize(n);
  w.t.resize(n);
  w.per_length.resize(n);
  w.density.resize(n);
  w.density_slope.resize(n);
  const EdgeFunctions<T> out{w.harmonics.data(), w.row.data(), w.t.data(), w.per_length.data(), w.density.data(), w.density_slope.data()};
  const Edges edges = state.graph.edges();
  prepare_edges<T>({edges, chunk.first_edge, chunk.last_edge, chunk.last, shape().l_max, shape().n_elements(), layer.shape().density, layer.row_size(),
                    tables_of(layer, state),
                    state.layers[layer.number()].own.view(), out}, stream_);
  return {edges.start, edges.source, chunk.first, chunk.n(), chunk.first_edge, chunk.n_edges(), layer.sent_wide() / LANES, out.harmonics, out.row, out.t};
}

template <class T>
void CudaEngine<T>::run_chunk(const Layer &layer, const Layer *next, Evaluated &state, const Chunk &chunk, bool energies)
{
  LayerState &kept = state.layers[layer.number()];
  const std::size_t n_row = static_cast<std::size_t>(n_harmonics()) * wide();
  const EdgeBatch<T> edges = prepare_chunk(layer, state, chunk);
  const LayerModel &model = layer.model();
  centre_norms({edges.start, chunk.first, chunk.n(), chunk.first_edge, layer.shape().density ? work_.density.data() : nullptr, model.density_offset(),
                model.norm_slope(), kept.norm.data()}, stream_);
  const bool kept_there = kept.products_in.size() > 0;
  if (!kept_there) work_.first_in.resize(chunk.n() * n_row);
  T *sums = kept_there ? kept.products_in.data() + chunk.first * n_row : work_.first_in.data();
  sum_messages(layer, state, chunk, edges, sums);
  if (layer.shape().nonlinear) gate_messages(layer, state, chunk, sums);
  update_features(layer, state, chunk, sums);
  read_out(layer, state, chunk, energies);
  if (next) send(*next, state, chunk);
}

// A = nu_i sum_j messages in `out`; of a nonlinear layer only the sums, in work_.messages
template <class T>
void CudaEngine<T>::sum_messages(const Layer &layer, const Evaluated &state, const Chunk &chunk, const EdgeBatch<T> &edges, T *out)
{
  const LayerState &kept = state.layers[layer.number()];
  const bool nonlinear = layer.shape().nonlinear;
  if (layer.number() > 0 || nonlinear) work_.messages.resize(chunk.n() * sum_size(layer));
  if (layer.number() == 0) return sum_first(layer, state, chunk, edges, nonlinear ? work_.messages.data() : out);
  message_forward<T>({edges, kept.features.data(), kept.norm.data(), layer.couple(), work_.messages.data()}, layer.shape().l_in, shape().l_max, stream_);
  for (int l = 0; l <= shape().l_max && !nonlinear; ++l)
    layer.message(l).times(chunk.n() * (2 * l + 1), work_.messages.data() + first_sum(layer, l), sum_rows(layer, l), out + l * l * wide(),
                           rows(l, n_harmonics(), wide()), false, stream_);
}

// h = products Lin + skip, in work_.features
template <class T> void CudaEngine<T>::update_features(const Layer &layer, const Evaluated &state, const Chunk &chunk, const T *in)
{
  const int n_out = layer.model().n_out(), n_skip = layer.model().n_skip(), n_blocks = wide() / LANES;
  const std::size_t size = static_cast<std::size_t>(chunk.n()) * n_out * wide();
  work_.features.resize(size);
  work_.products.resize(size);
  T *out = work_.features.data();
  const int *element = state.graph.element() + chunk.first;
  product_forward<T>({layer.polynomial(), chunk.n(), n_blocks, element, layer.coefficients(), in, work_.products.data()}, stream_);
  for (int l = 0; l <= layer.shape().l_out; ++l)
    layer.linear(l).times(chunk.n() * (2 * l + 1), work_.products.data() + l * l * wide(), rows(l, n_out, wide()), out + l * l * wide(),
                          rows(l, n_out, wide()), false, stream_);
  if (layer.number() == 0) {
    add_constants<T>({chunk.n(), n_out, 0, wide(), 0, element, layer.constant_skip(), out}, stream_);
    return;
  }
  for (const Chunk::Range &range : chunk.ranges) {
    const std::vector<DeviceMatrix<T>> &skip = layer.skip(range.element);
    for (std::size_t l = 0; l < skip.size(); ++l)
      skip[l].times((range.last - range.first) * (2 * l + 1), skip_before(layer).data() + (static_cast<std::size_t>(range.first) * n_skip + l * l) * wide(),
                    rows(l, n_skip, wide()), out + (static_cast<std::size_t>(range.first - chunk.first) * n_out + l * l) * wide(),
                    rows(l, n_out, wide()), true, stream_);
  }
}

template <class T> void CudaEngine<T>::read_out(const Layer &layer, Evaluated &state, const Chunk &chunk, bool energies)
{
  const std::size_t n_features = shape().n_features(), stride = static_cast<std::size_t>(layer.model().n_out()) * wide();
  T *scalars = state.descriptors.data() + scalars_at(layer, chunk.first);
  copy_rows<T>({static_cast<std::size_t>(chunk.n()), static_cast<std::size_t>(shape().n_channels), stride, n_features, work_.features.data(), scalars, false},
               stream_);
  if (!energies) return;
  work_.work.resize(static_cast<std::size_t>(chunk.n()) * 2 * shape().n_gate);
  cuda::read_out<T>({layer.readout(), chunk.n(), shape().n_channels, n_features, scalars, scale_, work_.work.data(), state.energies.data() + chunk.first},
                    stream_);
}

// x of the next layer for local atoms, and what its skip will take
template <class T> void CudaEngine<T>::send(const Layer &next, Evaluated &state, const Chunk &chunk)
{
  const int n_in = next.model().n_in(), sent = next.sent_wide();
  const std::size_t n_skip = static_cast<std::size_t>(next.model().n_skip()) * wide();
  T *to = state.layers[next.number()].features.data() + static_cast<std::size_t>(chunk.first) * n_in * sent;
  for (int l = 0; l <= next.shape().l_in; ++l)
    next.up(l).times(chunk.n() * (2 * l + 1), work_.features.data() + l * l * wide(), rows(l, n_in, wide()), to + l * l * sent, rows(l, n_in, sent), false,
                     stream_);
  copy_rows<T>({static_cast<std::size_t>(chunk.n()), n_skip, static_cast<std::size_t>(n_in) * wide(), n_skip, work_.features.data(),
                skip_before(next).data() + chunk.first * n_skip, false}, stream_);
}

template class CudaEngine<float>;
template class CudaEngine<double>;

}    // namespace lmp_uq::cuda
