// SPDX-License-Identifier: GPL-2.0-or-later
// Energies and descriptors.
#include "mace/cuda/cuda_engine.h"

namespace lmp_uq::cuda {

template <class T>
std::unique_ptr<Engine::State> CudaEngine<T>::evaluate(const AtomGraph &graph, const GhostExchange &exchange, bool keep, double *energies,
                                                       double *descriptors)
{
  const std::lock_guard<std::mutex> lock(mutex_);
  auto made = std::make_unique<const SortedGraph>(graph, shape().cutoff, shape().n_elements(), n_threads_);
  auto state = std::make_unique<Evaluated>(spare_);
  state->graph.take(std::move(made), stream_);
  const SortedGraph &sorted = state->graph.host();
  if (!exchange.forward && graph.n_nodes != graph.n_local)
    throw std::runtime_error("graph: " + std::to_string(graph.n_nodes - graph.n_local) + " ghosts but no exchange to fill them");
  const std::vector<int> elements = prepare(sorted);
  state->layers.resize(layers_.size());
  state->layers[0].common = layers_[0]->common_shape(elements);
  std::vector<double> by_row(sorted.n_local);
  for (int row = 0; row < sorted.n_local; ++row) by_row[row] = atomic_energies_[sorted.element[row]] + shift_;
  work_.energies.upload(by_row, stream_);
  work_.descriptors.resize(static_cast<std::size_t>(sorted.n_local) * shape().n_features());
  const std::vector<Chunk> all = chunks(*state, 1);
  for (std::size_t t = 0; t < layers_.size(); ++t) {
    const Layer *next = t + 1 < layers_.size() ? layers_[t + 1].get() : nullptr;
    run_layer(*layers_[t], next, *state, all, keep, energies);
    if (next) fill_ghosts(*next, sorted, exchange, state->layers[t + 1].features);
    std::swap(work_.before, work_.after);
  }
  if (energies && shape().repulsion)
    repulsion_energies({state->graph.edges(), sorted.n_local, shape().n_elements(), repulsion_.data(), scale_, work_.energies.data()}, stream_);
  if (energies) work_.energies.download(by_row.data(), by_row.size(), stream_);
  work_.descriptors.download(descriptors, work_.descriptors.size(), stream_);
  stream_.wait();
  for (int row = 0; row < sorted.n_local && energies; ++row) energies[sorted.node[row]] = by_row[row];
  if (!keep) state.reset();
  return state;
}

template <class T>
void CudaEngine<T>::run_layer(const Layer &layer, const Layer *next, Evaluated &state, const std::vector<Chunk> &all, bool keep, bool energies)
{
  const std::size_t n_local = state.graph.n_local(), n_row = static_cast<std::size_t>(n_harmonics()) * wide();
  LayerState &kept = state.layers[layer.number()];
  kept.own = layer.own_rows(state.graph.host(), stream_);
  kept.norm.resize(n_local);
  kept.products_in.resize(keep && keeps_sums(layer, n_local) ? n_local * n_row : 0);    // or what a state before kept
  if (layer.shape().nonlinear) kept.before_gate.resize(n_local * layer.model().n_before_gate() * wide());
  kept.scalars.resize(keep && keeps_scalars(layer.shape().readout) ? n_local * wide() : 0);
  if (next) {
    work_.after.resize(n_local * next->model().n_skip() * wide());
    state.layers[next->number()].features.resize(static_cast<std::size_t>(state.graph.n_nodes()) * next->model().n_in() * next->sent_wide());
  }
  for (const Chunk &chunk : all) run_chunk(layer, next, state, chunk, keep, energies);
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
  const PairTable<T> *tables = state.layers[layer.number()].common.n_blocks ? layer.common().tables() : layer.tables();
  prepare_edges<T>({edges, chunk.first_edge, chunk.last_edge, shape().l_max, shape().n_elements(), layer.shape().density, layer.row_size(), tables,
                    state.layers[layer.number()].own.view(), out}, stream_);
  return {edges.start, edges.source, chunk.first, chunk.n(), chunk.first_edge, chunk.n_edges(), layer.sent_wide() / LANES, out.harmonics, out.row, out.t};
}

template <class T>
void CudaEngine<T>::run_chunk(const Layer &layer, const Layer *next, Evaluated &state, const Chunk &chunk, bool keep, bool energies)
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
  read_out(layer, state, chunk, keep, energies);
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
      skip[l].times((range.last - range.first) * (2 * l + 1), work_.before.data() + (static_cast<std::size_t>(range.first) * n_skip + l * l) * wide(),
                    rows(l, n_skip, wide()), out + (static_cast<std::size_t>(range.first - chunk.first) * n_out + l * l) * wide(),
                    rows(l, n_out, wide()), true, stream_);
  }
}

template <class T> void CudaEngine<T>::read_out(const Layer &layer, Evaluated &state, const Chunk &chunk, bool keep, bool energies)
{
  LayerState &kept = state.layers[layer.number()];
  const std::size_t stride = static_cast<std::size_t>(layer.model().n_out()) * wide(), width = wide();
  if (keep && kept.scalars.size())
    copy_rows<T>({static_cast<std::size_t>(chunk.n()), width, stride, width, work_.features.data(), kept.scalars.data() + chunk.first * width, false}, stream_);
  work_.work.resize(static_cast<std::size_t>(chunk.n()) * 2 * shape().n_gate);
  cuda::read_out<T>({layer.readout(), chunk.n(), shape().n_channels, shape().n_features(), layer.number() * shape().n_channels, stride,
                     work_.features.data(), state.graph.node() + chunk.first, scale_, work_.work.data(),
                     energies ? work_.energies.data() + chunk.first : nullptr, work_.descriptors.data()}, stream_);
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
                work_.after.data() + chunk.first * n_skip, false}, stream_);
}

template class CudaEngine<float>;
template class CudaEngine<double>;

}    // namespace lmp_uq::cuda
