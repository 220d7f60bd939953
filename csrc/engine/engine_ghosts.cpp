// SPDX-License-Identifier: GPL-2.0-or-later
// Features of ghosts and their gradients: what goes through the caller's exchange, in its order of nodes and without padding.
#include "mace_engine.h"

#include <algorithm>
#include <stdexcept>

namespace lmp_uq {

namespace {

// Features of one node (component, channel) <-> a row of the exchange.
template <class T> void to_row(const BlockedRows<T> &rows, const T *features, std::int64_t node, int set, int n_channels, double *row)
{
  for (int m = 0; m < rows.n_components; ++m)
    for (int c = 0; c < n_channels; c += block<T>()) {
      const T *from = features + rows.offset(node, set, m, c);
      const int n = std::min(n_channels - c, block<T>());
      for (int k = 0; k < n; ++k) row[m * n_channels + c + k] = static_cast<double>(from[k]);
    }
}

template <class T> void from_row(const BlockedRows<T> &rows, const double *row, int n_channels, T *features, std::int64_t node, int set)
{
  for (int m = 0; m < rows.n_components; ++m)
    for (int c = 0; c < n_channels; c += block<T>()) {
      T *to = features + rows.offset(node, set, m, c);
      const int n = std::min(n_channels - c, block<T>());
      for (int k = 0; k < n; ++k) to[k] = static_cast<T>(row[m * n_channels + c + k]);
      std::fill(to + n, to + block<T>(), T(0));
    }
}

}    // namespace

template <class T>
void MaceEngine<T>::fill_ghosts(const Layer<T> &layer, const SortedGraph &graph, const GhostExchange &exchange, Aligned<T> &features,
                                Workspace &w) const
{
  if (!exchange.forward) return;
  const BlockedRows<T> rows = features_of(layer, graph);
  const int n_channels = shape().n_channels, width = rows.n_components * n_channels;
  w.rows.resize(static_cast<std::size_t>(graph.n_nodes) * width);
  over_rows(n_threads_, graph.n_local, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row)
      to_row(rows, features.data(), row, 0, n_channels, w.rows.data() + static_cast<std::size_t>(graph.node[row]) * width);
  });
  if (exchange.forward(exchange.context, w.rows.data(), width)) throw std::runtime_error("the exchange of ghosts failed");
  over_rows(n_threads_, graph.n_nodes - graph.n_local, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = graph.n_local + first; row < graph.n_local + last; ++row)
      from_row(rows, w.rows.data() + row * width, n_channels, features.data(), row, 0);
  });
}

template <class T>
void MaceEngine<T>::gather_ghosts(const Layer<T> &layer, const SortedGraph &graph, const GhostExchange &exchange, int n_sets,
                                  Workspace &w) const
{
  if (!exchange.reverse) return;
  const BlockedRows<T> rows = features_of(layer, graph, n_sets);
  const int n_channels = shape().n_channels, width = rows.n_components * n_channels;
  T *features = w.feature_gradient().data();
  const auto row = [&](std::int64_t node, int set) { return w.rows.data() + (node * n_sets + set) * width; };
  w.rows.resize(static_cast<std::size_t>(graph.n_nodes) * n_sets * width);
  over_rows(n_threads_, graph.n_nodes, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t node = first; node < last; ++node)
      for (int set = 0; set < n_sets; ++set) to_row(rows, features, graph.row[node], set, n_channels, row(node, set));
  });
  if (exchange.reverse(exchange.context, w.rows.data(), n_sets * width)) throw std::runtime_error("the exchange of ghosts failed");
  over_rows(n_threads_, graph.n_local, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t node = first; node < last; ++node)
      for (int set = 0; set < n_sets; ++set) from_row(rows, row(node, set), n_channels, features, graph.row[node], set);
  });
}

template class MaceEngine<float>;
template class MaceEngine<double>;

}    // namespace lmp_uq
