// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cpu/batch_edges.h"

#include "formulas/harmonics.h"

namespace lmp_uq {

template <class T> void BatchEdges<T>::prepare(const Layer<T> &layer, const SortedGraph &graph, const Batch &batch, int l_max)
{
  const int first = graph.start[batch.first], n = graph.start[batch.last] - first, n_y = (l_max + 1) * (l_max + 1);
  start_.clear();
  for (int i = batch.first; i <= batch.last; ++i) start_.push_back(graph.start[i] - first);
  source_ = graph.source.data() + first;
  harmonics_.resize(static_cast<std::size_t>(n) * MAX_HARMONICS);
  row_.resize(n);
  stride_.resize(n);
  t_.resize(n);
  per_length_.resize(n);
  density_slope_.assign(n, 0.0);
  density_.assign(batch.last - batch.first, 0.0);
  std::vector<int> exact;
  int centre = 0;
  for (int e = 0; e < n; ++e) {
    while (e >= start_[centre + 1]) ++centre;
    double y[MAX_HARMONICS];
    harmonics(graph.direction.data() + 3 * static_cast<std::size_t>(first + e), l_max, y);
    for (int s = 0; s < n_y; ++s) harmonics_[static_cast<std::size_t>(e) * MAX_HARMONICS + s] = static_cast<T>(y[s]);
    const double r = graph.length[first + e];
    const RadialTable<T> *table = layer.table(batch.element, graph.element[source_[e]]);
    if (!table || r < table->low()) {
      exact.push_back(e);
      continue;
    }
    const typename RadialTable<T>::Place place = table->find(r);
    row_[e] = place.row;
    stride_[e] = table->stride();
    t_[e] = static_cast<T>(place.t);
    per_length_[e] = place.per_length;
    if (!layer.shape().density) continue;
    const Jet rho = RadialTable<T>::density(place);
    density_[centre] += rho.value;
    density_slope_[e] = rho.first;
  }
  prepare_exactly(layer, exact, graph, first, batch.element);
}

// Shorter than any table, or no tables wanted: a table's row of its own for each edge.
template <class T>
void BatchEdges<T>::prepare_exactly(const Layer<T> &layer, const std::vector<int> &edges, const SortedGraph &graph, int first, int element)
{
  const RadialFunctions &radial = layer.radial();
  const std::size_t size = radial_row_size<T>(radial.n_functions()), n_blocks = padded<T>(radial.n_channels()) / block<T>();
  exact_.resize(edges.size() * n_blocks * size);
  int centre = 0;
  for (std::size_t k = 0; k < edges.size(); ++k) {
    const int e = edges[k];
    while (e >= start_[centre + 1]) ++centre;
    const RadialFunctions::Point point = radial.at(graph.length[first + e], element, graph.element[source_[e]]);
    exact_row<T>(point, radial.n_functions(), radial.n_channels(), exact_.data() + k * n_blocks * size, size);
    row_[e] = exact_.data() + k * n_blocks * size;
    stride_[e] = size;
    t_[e] = T(0);
    per_length_[e] = 1.0;
    density_[centre] += point.density.value;
    density_slope_[e] = point.density.first;
  }
}

template <class T> EdgeBatch<T> BatchEdges<T>::view() const
{
  return {static_cast<int>(start_.size()) - 1, start_.data(), source_, harmonics_.data(), row_.data(), stride_.data(), t_.data()};
}

template class BatchEdges<float>;
template class BatchEdges<double>;

}    // namespace lmp_uq
