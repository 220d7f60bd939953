// SPDX-License-Identifier: GPL-2.0-or-later
// Features of ghosts and their gradients: what goes through the caller's exchange, in its order of nodes and without padding.
#include "mace_engine.h"

#include <algorithm>
#include <stdexcept>

namespace lmp_uq {

namespace {

template <class T> void to_row(const T *features, int n_components, int n_channels, int wide, double *row)
{
  for (int m = 0; m < n_components; ++m)
    for (int c = 0; c < n_channels; ++c) row[m * n_channels + c] = static_cast<double>(features[m * wide + c]);
}

template <class T> void from_row(const double *row, int n_components, int n_channels, int wide, T *features)
{
  for (int m = 0; m < n_components; ++m) {
    for (int c = 0; c < n_channels; ++c) features[m * wide + c] = static_cast<T>(row[m * n_channels + c]);
    std::fill(features + m * wide + n_channels, features + (m + 1) * wide, T(0));
  }
}

}    // namespace

template <class T>
void MaceEngine<T>::fill_ghosts(const SortedGraph &graph, const GhostExchange &exchange, int n_components, Aligned<T> &features,
                                Workspace &w) const
{
  if (!exchange.forward) return;
  const int n_channels = shape().n_channels, width = n_components * n_channels;
  w.rows.resize(static_cast<std::size_t>(graph.n_nodes) * width);
  over_rows(n_threads_, graph.n_local, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row)
      to_row(features.data() + row * n_components * wide_, n_components, n_channels, wide_,
             w.rows.data() + static_cast<std::size_t>(graph.node[row]) * width);
  });
  if (exchange.forward(exchange.context, w.rows.data(), width)) throw std::runtime_error("the exchange of ghosts failed");
  over_rows(n_threads_, graph.n_nodes - graph.n_local, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = graph.n_local + first; row < graph.n_local + last; ++row)
      from_row(w.rows.data() + row * width, n_components, n_channels, wide_, features.data() + row * n_components * wide_);
  });
}

template <class T>
void MaceEngine<T>::gather_ghosts(const SortedGraph &graph, const GhostExchange &exchange, int n_components, int n_sets, Workspace &w) const
{
  if (!exchange.reverse) return;
  const int n_channels = shape().n_channels, width = n_components * n_channels;
  const auto features = [&](std::int64_t node, int set) {
    return w.feature_gradient().data() + (static_cast<std::size_t>(set) * graph.n_nodes + graph.row[node]) * n_components * wide_;
  };
  const auto row = [&](std::int64_t node, int set) { return w.rows.data() + (node * n_sets + set) * width; };
  w.rows.resize(static_cast<std::size_t>(graph.n_nodes) * n_sets * width);
  over_rows(n_threads_, graph.n_nodes, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t node = first; node < last; ++node)
      for (int set = 0; set < n_sets; ++set) to_row(features(node, set), n_components, n_channels, wide_, row(node, set));
  });
  if (exchange.reverse(exchange.context, w.rows.data(), n_sets * width)) throw std::runtime_error("the exchange of ghosts failed");
  over_rows(n_threads_, graph.n_local, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t node = first; node < last; ++node)
      for (int set = 0; set < n_sets; ++set) from_row(row(node, set), n_components, n_channels, wide_, features(node, set));
  });
}

template class MaceEngine<float>;
template class MaceEngine<double>;

}    // namespace lmp_uq
