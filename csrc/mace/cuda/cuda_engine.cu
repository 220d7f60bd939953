// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cuda/cuda_engine.h"

#include "mace/cuda/cuda_head.h"

#include <algorithm>

namespace lmp_uq::cuda {

std::vector<Chunk> cut(const DeviceGraph &graph, int most_centres)
{
  std::vector<Chunk> out;
  const std::vector<int> &element = graph.list().element;
  for (int first = 0; first < graph.n_local(); first += most_centres) {
    Chunk chunk{first, std::min(first + most_centres, graph.n_local()), 0, 0, {}};
    chunk.first_edge = graph.first_edge(chunk.first);
    chunk.last_edge = graph.first_edge(chunk.last);
    for (int row = chunk.first; row < chunk.last; ++row) {
      if (chunk.ranges.empty() || chunk.ranges.back().element != element[row]) chunk.ranges.push_back({element[row], row, row});
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

// of a graph, and what its elements need
template <class T> std::shared_ptr<const DeviceList> CudaEngine<T>::list_of(const AtomGraph &graph)
{
  if (graph.list.number && list_ && list_->number() == graph.list.number) return list_;
  auto made = std::make_shared<const DeviceList>(graph, shape().n_elements(), n_threads_, stream_);
  for (auto &layer : layers_) layer->prepare(made->elements(), stream_);
  if (graph.list.number) list_ = made;
  return made;
}

// A list that comes again, of so few atoms that launches take longer than kernels. One chunk has room for all its edges: where more begin
// changes with every step, and would have to in what was recorded.
template <class T> bool CudaEngine<T>::lasts(const DeviceList &list) const
{
  constexpr int few = 4096;
  return list.number() != 0 && list.n_local <= few && list.n_local <= most_centres(list, list.n_graph_edges(), MAX_SETS);
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
      w.density, w.density_slope, w.work, w.slope, w.parts, w.skip[0], w.skip[1], w.feature_gradient[0], w.feature_gradient[1], w.wanted,
      w.features_out, w.gradient_in, w.overlap, w.gradients, w.by_number, w.forces, w.virials, w.virial_parts, w.weights[0],
      w.weights[1], w.weights[2], w.weights[3], w.n_uncovered, w.uncovered);
  if (list_) n += list_->n_bytes();
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
  if (this->layers.empty()) std::swap(this->layers, spare->kept.layers);
  std::swap(static_cast<Kept &>(*this), spare->kept);
}

template <class T> void CudaEngine<T>::Evaluated::forget_derivatives()
{
  const std::lock_guard<std::mutex> lock(spare->mutex);
  if (spare->kept.layers.empty()) std::swap(this->layers, spare->kept.layers);
  this->layers.clear();
}

template <class T> std::size_t CudaEngine<T>::Evaluated::n_bytes() const
{
  std::size_t n = this->graph.n_bytes() + this->descriptors.bytes() + this->energies.bytes();
  for (const LayerState &s : this->layers)
    n += s.products_in.bytes() + s.before_gate.bytes() + s.features.bytes() + s.norm.bytes() + s.own.of_edge.bytes() +
        s.own.rows.bytes();
  return n;
}

template <class T> std::unique_ptr<Engine::Head> CudaEngine<T>::make_head(const lmp_uq_head_matrices &matrices)
{
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::make_unique<CudaHead<T>>(*this, matrices);
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

// Those of the first layer can be made again: by tables that takes a tenth of a step, by common functions a hundredth.
template <class T> bool CudaEngine<T>::keeps_sums(const Layer &layer, const Evaluated &state) const
{
  if (layer.number() > 0 || layer.shape().nonlinear) return true;
  return state.graph.n_local() * sizeof(T) * n_harmonics() * wide() <= memory_ / (state.layers[0].common.n_blocks ? 64 : 16);
}

constexpr int MOST_CENTRES = 65536;    // of a chunk

// Of a chunk, as many as a fixed share of the memory has room for: the sums of a run do not depend on how its centres are cut.
template <class T> int CudaEngine<T>::most_centres(const DeviceList &list, std::size_t n_edges, int n_sets) const
{
  std::size_t per_centre = 0;
  const std::size_t of_centre = list.n_local ? n_edges / list.n_local + 1 : 1;
  for (const auto &layer : layers_) {
    const std::size_t of_edges = of_centre * n_sets * (layer->model().n_in() * layer->sent_wide() + layer->sent_wide() / 2);
    const std::size_t of_common = layer->common_shape(list.elements()).n_functions();
    const std::size_t of_atoms = n_sets * (sum_size(*layer) + n_harmonics() * (of_common + 3 * static_cast<std::size_t>(wide())));
    per_centre = std::max(per_centre, (of_edges + of_atoms) * sizeof(T));
  }
  return static_cast<int>(std::clamp<std::size_t>(memory_ / 4 / per_centre, 1, MOST_CENTRES));
}

template <class T> std::vector<Chunk> CudaEngine<T>::chunks(const Evaluated &state, int n_sets) const
{
  return cut(state.graph, most_centres(state.graph.list(), state.graph.room(), n_sets));
}

template class CudaEngine<float>;
template class CudaEngine<double>;

}    // namespace lmp_uq::cuda
