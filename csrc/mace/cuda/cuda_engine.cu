// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cuda/cuda_engine.h"

#include <algorithm>

namespace lmp_uq::cuda {

std::vector<Chunk> cut(const SortedGraph &graph, int most_centres)
{
  std::vector<Chunk> out;
  for (int first = 0; first < graph.n_local; first += most_centres) {
    Chunk chunk{first, std::min(first + most_centres, graph.n_local), 0, 0, {}};
    chunk.first_edge = graph.start[chunk.first];
    chunk.last_edge = graph.start[chunk.last];
    for (int row = chunk.first; row < chunk.last; ++row) {
      if (chunk.ranges.empty() || chunk.ranges.back().element != graph.element[row]) chunk.ranges.push_back({graph.element[row], row, row});
      ++chunk.ranges.back().last;
    }
    out.push_back(std::move(chunk));
  }
  return out;
}

template <class T>
CudaEngine<T>::CudaEngine(Architecture architecture, Tensors tensors, const lmp_uq_engine_options &options)
    : weights_(std::move(architecture), std::move(tensors)), n_threads_(options.threads), scale_(weights_.scale()), shift_(weights_.shift())
{
  std::size_t free = 0, total = 0;
  require(cudaMemGetInfo(&free, &total));
  memory_ = total / std::max(1, options.n_sharing);
  const int n_elements = shape().n_elements();
  for (int z = 0; z < n_elements; ++z) atomic_energies_.push_back(weights_.atomic_energy(z));
  std::vector<Repulsion> pairs;
  for (int k = 0; k < n_elements * n_elements && shape().repulsion; ++k) pairs.push_back(weights_.repulsion(k / n_elements, k % n_elements));
  repulsion_.upload(pairs, stream_);
  stream_.wait();
  for (int t = 0; t < static_cast<int>(shape().layers.size()); ++t)
    layers_.push_back(std::make_unique<Layer>(weights_, t, options.table_tolerance, stream_));
}

template <class T> void CudaEngine<T>::prepare(const std::vector<int> &elements, std::shared_ptr<TableStore> store)
{
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string failure;
  try {
    for (auto &layer : layers_) layer->prepare(elements, stream_);
  } catch (const std::exception &error) {
    failure = error.what();
  }
  store->agree(failure);
}

template <class T> std::vector<int> CudaEngine<T>::prepare(const SortedGraph &graph)
{
  std::vector<char> seen(shape().n_elements(), 0);
  std::vector<int> elements;
  for (const int z : graph.element)
    if (!seen[z]++) elements.push_back(z);
  std::sort(elements.begin(), elements.end());
  for (auto &layer : layers_) layer->prepare(elements, stream_);
  return elements;
}

template <class T> double CudaEngine<T>::table_bytes_of(const std::vector<int> &elements) const
{
  double sum = 0.0;
  for (const auto &layer : layers_) sum += layer->table_bytes_of(elements);
  return sum;
}

template <class T> std::size_t CudaEngine<T>::table_bytes() const
{
  const std::lock_guard<std::mutex> lock(mutex_);
  std::size_t n = 0;
  for (const auto &layer : layers_) n += layer->table_bytes();
  return n;
}

template <class T> std::size_t CudaEngine<T>::n_bytes() const
{
  const std::lock_guard<std::mutex> lock(mutex_);
  std::size_t n = 0;
  for (const auto &layer : layers_) n += layer->n_bytes();
  const Workspace &w = work_;
  const auto add = [&](const auto &...arrays) { n += (arrays.bytes() + ...); };
  add(w.harmonics, w.t, w.common, w.first_in, w.messages, w.products, w.features, w.gated, w.before_gate, w.own, w.edge_sums, w.edge_features, w.row, w.per_length,
      w.density, w.density_slope, w.work, w.slope, w.parts, w.before, w.after, w.sent, w.feature_gradient, w.features_out, w.gradient_in, w.overlap,
      w.energies, w.descriptors, w.gradients, w.energy_weights, w.descriptor_weights);
  return n;
}

template <class T> CudaEngine<T>::Evaluated::Evaluated(std::shared_ptr<Spare> s) : spare(std::move(s))
{
  const std::lock_guard<std::mutex> lock(spare->mutex);
  std::swap(static_cast<Kept &>(*this), spare->kept);
}

template <class T> CudaEngine<T>::Evaluated::~Evaluated()
{
  const std::lock_guard<std::mutex> lock(spare->mutex);
  std::swap(static_cast<Kept &>(*this), spare->kept);
}

template <class T> std::size_t CudaEngine<T>::Evaluated::n_bytes() const
{
  std::size_t n = this->graph.n_bytes();
  for (const LayerState &s : this->layers)
    n += s.products_in.bytes() + s.before_gate.bytes() + s.features.bytes() + s.scalars.bytes() + s.norm.bytes() + s.own.of_edge.bytes() +
        s.own.rows.bytes();
  return n;
}

template <class T> int CudaEngine<T>::exchange_width(int n_sets) const
{
  int width = 0;
  for (std::size_t t = 1; t < layers_.size(); ++t) width = std::max(width, layers_[t]->model().n_in() * layers_[t]->sent_wide());
  return static_cast<int>(n_sets * width * sizeof(T) / sizeof(double));
}

template <class T> Rows CudaEngine<T>::sum_rows(const Layer &layer, int l) const
{
  const Paths &paths = layer.model().paths();
  const std::size_t wide = layer.sent_wide();
  if (!layer.number()) return rows(l, n_harmonics(), layer.sent_wide());
  return {2 * l + 1, paths.n_message * wide, paths.n_of[l] * wide};
}

template <class T> std::size_t CudaEngine<T>::first_sum(const Layer &layer, int l) const
{
  return static_cast<std::size_t>(layer.number() ? layer.model().paths().block[l] : l * l) * layer.sent_wide();
}

template <class T> std::size_t CudaEngine<T>::sum_size(const Layer &layer) const
{
  return static_cast<std::size_t>(layer.number() ? layer.model().paths().n_message : n_harmonics()) * layer.sent_wide();
}

// Those of the first layer can be made again, which takes a tenth of a step: they are kept in up to a 16th of the memory.
template <class T> bool CudaEngine<T>::keeps_sums(const Layer &layer, std::size_t n_local) const
{
  if (layer.number() > 0 || layer.shape().nonlinear) return true;
  return n_local * n_harmonics() * wide() * sizeof(T) <= memory_ / 16;
}

constexpr int MOST_CENTRES = 65536;    // of a chunk

// As many centres as a fixed share of the memory has room for: the sums of a run do not depend on how its centres are cut.
template <class T> std::vector<Chunk> CudaEngine<T>::chunks(const Evaluated &state, int n_sets) const
{
  const SortedGraph &graph = state.graph.host();
  std::size_t per_centre = 0;
  const std::size_t n_edges = graph.n_local ? graph.source.size() / graph.n_local + 1 : 1;
  for (const auto &layer : layers_) {
    const std::size_t of_edges = n_edges * n_sets * (layer->model().n_in() * layer->sent_wide() + layer->sent_wide() / 2);
    const std::size_t of_common = state.layers[layer->number()].common.n_functions();
    const std::size_t of_atoms = n_sets * (sum_size(*layer) + n_harmonics() * (of_common + 3 * static_cast<std::size_t>(wide())));
    per_centre = std::max(per_centre, (of_edges + of_atoms) * sizeof(T));
  }
  const std::size_t room = memory_ / 4 / per_centre;
  return cut(graph, static_cast<int>(std::max<std::size_t>(1, std::min<std::size_t>(room, MOST_CENTRES))));
}

template class CudaEngine<float>;
template class CudaEngine<double>;

}    // namespace lmp_uq::cuda
