// SPDX-License-Identifier: GPL-2.0-or-later
// Features of ghosts and their gradients: what goes through the caller's exchange, in its order of nodes and without padding.
#include "mace/cpu/mace_engine.h"

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

// The same features as GhostRows: column (set, component, channel) of a node.
template <class T> struct FeatureRows {
  BlockedRows<T> rows;
  T *features;
  const SortedGraph &graph;
  int n_channels;

  // f(features, k, n): the next n features of the columns asked for, the first of which is number k
  template <class F> void visit(int node, int first, int n, const F &f) const
  {
    for (int k = 0; k < n;) {
      const int channel = (first + k) % n_channels, group = (first + k) / n_channels;
      const int here = std::min({n - k, n_channels - channel, block<T>() - channel % block<T>()});
      f(features + rows.offset(graph.row[node], group / rows.n_components, group % rows.n_components, channel), k, here);
      k += here;
    }
  }
  static void get(void *holder, int node, int first, int n, double *out)
  {
    static_cast<const FeatureRows *>(holder)->visit(node, first, n, [&](const T *p, int k, int here) {
      for (int c = 0; c < here; ++c) out[k + c] = static_cast<double>(p[c]);
    });
  }
  static void put(void *holder, int node, int first, int n, const double *in)
  {
    static_cast<const FeatureRows *>(holder)->visit(node, first, n, [&](T *p, int k, int here) {
      for (int c = 0; c < here; ++c) p[c] = static_cast<T>(in[k + c]);
    });
  }
  static void add(void *holder, int node, int first, int n, const double *in)
  {
    static_cast<const FeatureRows *>(holder)->visit(node, first, n, [&](T *p, int k, int here) {
      for (int c = 0; c < here; ++c) p[c] += static_cast<T>(in[k + c]);
    });
  }
  GhostRows view() { return {this, rows.n_sets * rows.n_components * n_channels, get, put, add}; }
};

template <class T> void clear(const BlockedRows<T> &rows, T *features, std::int64_t node, int wide)
{
  for (int c = 0; c < wide; c += block<T>())
    std::fill_n(features + rows.offset(node, 0, 0, c), rows.n_components * block<T>(), T(0));
}

constexpr int MOMENTS = 4;    // sets: unit weights, then x, y and z
static_assert(MAX_SETS % MOMENTS == 0, "a pass takes whole moments");

// of a ghost's row, before anything travels: what further ghosts leave there on their way home has been shifted where they are
template <class T> void shift_moments(const BlockedRows<T> &rows, T *features, std::int64_t node, const double *shift, int wide)
{
  const int n = rows.n_components * block<T>();
  for (int set = 0; set < rows.n_sets; set += MOMENTS)
    for (int c = 0; c < wide; c += block<T>()) {
      const T *unit = features + rows.offset(node, set, 0, c);
      for (int a = 0; a < 3; ++a) {
        T *moment = features + rows.offset(node, set + 1 + a, 0, c);
        for (int k = 0; k < n; ++k) moment[k] -= static_cast<T>(shift[a]) * unit[k];
      }
    }
}

void check(int failed)
{
  if (failed) throw std::runtime_error("the exchange of ghosts failed");
}

}    // namespace

template <class T>
void MaceEngine<T>::fill_ghosts(const Layer<T> &layer, const SortedGraph &graph, const GhostExchange &exchange, Aligned<T> &features,
                                Workspace &w) const
{
  if (!exchange.forward) return;
  const BlockedRows<T> rows = features_of(layer, graph);
  const int n_channels = shape().n_channels, width = rows.n_components * n_channels;
  if (exchange.forward_rows) {
    if (wide_ != n_channels)    // of ghosts nobody else writes the padding
      for (std::int64_t node = graph.n_local; node < graph.n_nodes; ++node) clear(rows, features.data(), node, wide_);
    return check(exchange.forward_rows(exchange.context, FeatureRows<T>{rows, features.data(), graph, n_channels}.view()));
  }
  w.rows.resize(static_cast<std::size_t>(graph.n_nodes) * width);
  over_rows(n_threads_, graph.n_local, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row)
      to_row(rows, features.data(), row, 0, n_channels, w.rows.data() + static_cast<std::size_t>(graph.node[row]) * width);
  });
  check(exchange.forward(exchange.context, w.rows.data(), width));
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
  if (exchange.shifts)
    over_rows(n_threads_, graph.n_nodes - graph.n_local, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t ghost = first; ghost < last; ++ghost)
        shift_moments(rows, features, graph.n_local + ghost, exchange.shifts + 3 * ghost, wide_);
    });
  if (exchange.reverse_rows) return check(exchange.reverse_rows(exchange.context, FeatureRows<T>{rows, features, graph, n_channels}.view()));
  const auto row = [&](std::int64_t node, int set) { return w.rows.data() + (node * n_sets + set) * width; };
  w.rows.resize(static_cast<std::size_t>(graph.n_nodes) * n_sets * width);
  over_rows(n_threads_, graph.n_nodes, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t node = first; node < last; ++node)
      for (int set = 0; set < n_sets; ++set) to_row(rows, features, graph.row[node], set, n_channels, row(node, set));
  });
  check(exchange.reverse(exchange.context, w.rows.data(), n_sets * width));
  over_rows(n_threads_, graph.n_local, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t node = first; node < last; ++node)
      for (int set = 0; set < n_sets; ++set) from_row(rows, row(node, set), n_channels, features, graph.row[node], set);
  });
}

template class MaceEngine<float>;
template class MaceEngine<double>;

}    // namespace lmp_uq
