// SPDX-License-Identifier: GPL-2.0-or-later
// Features of ghosts and their gradients, from and into the messages of an exchange.
#include "mace/cpu/mace_engine.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <type_traits>

namespace lmp_uq {

int Engine::most_sets() { return MAX_SETS; }

namespace {

constexpr std::int64_t LARGE = 1 << 15;    // doubles of a message that are worth waking threads for

// Features of a node of all its sets lie together in each block of channels; these pieces one after another are its row, zeros behind the
// last channel included.
template <class T> struct FeatureRows {
  BlockedRows<T> rows;
  T *features;
  const SortedGraph &graph;
  int n_blocks, n_threads;

  std::size_t piece() const { return rows.offset(1, 0, 0); }                         // numbers
  std::size_t piece_doubles() const { return piece() * sizeof(T) / sizeof(double); }
  int width() const { return n_blocks * static_cast<int>(piece_doubles()); }

  // f(piece of the k-th of n nodes, its place among the doubles of the message); blocks are shared out, so no two threads add to one number
  template <class F> void visit(int n, const F &f) const
  {
    const bool large = static_cast<std::int64_t>(n) * width() >= LARGE;
    over_rows(large ? std::min(n_threads, n_blocks) : 1, n_blocks, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t b = first; b < last; ++b)
        for (int k = 0; k < n; ++k)
          f(k, features + b * rows.block_stride(), static_cast<std::size_t>(k) * width() + b * piece_doubles());
    });
  }
  T *row(T *base, int node) const { return base + rows.offset(graph.row[node], 0, 0); }

  static void pack(void *holder, int n, const int *nodes, double *out)
  {
    const auto &self = *static_cast<const FeatureRows *>(holder);
    self.visit(n, [&](int k, T *base, std::size_t at) { std::memcpy(out + at, self.row(base, nodes[k]), self.piece() * sizeof(T)); });
  }
  static void unpack(void *holder, int first_node, int n, const double *in)
  {
    const auto &self = *static_cast<const FeatureRows *>(holder);
    self.visit(n, [&](int k, T *base, std::size_t at) { std::memcpy(self.row(base, first_node + k), in + at, self.piece() * sizeof(T)); });
  }
  static void add(void *holder, int n, const int *nodes, const double *in)
  {
    const auto &self = *static_cast<const FeatureRows *>(holder);
    self.visit(n, [&](int k, T *base, std::size_t at) {
      T *to = self.row(base, nodes[k]), more[block_numbers()];
      for (std::size_t c = 0; c < self.piece(); c += block_numbers()) {
        std::memcpy(more, in + at + c * sizeof(T) / sizeof(double), sizeof(more));
        for (int i = 0; i < block_numbers(); ++i) to[c + i] += more[i];
      }
    });
  }
  static constexpr int block_numbers() { return lmp_uq::block<T>(); }

  GhostRows view() { return {this, width(), std::is_same<T, float>::value, pack, unpack, add}; }
};

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

}    // namespace

template <class T> int MaceEngine<T>::exchange_width(int n_sets) const
{
  int width = 0;
  for (std::size_t t = 1; t < layers_.size(); ++t) width = std::max(width, layers_[t]->n_in() * layers_[t]->sent_wide());
  return static_cast<int>(n_sets * width * sizeof(T) / sizeof(double));
}

template <class T>
void MaceEngine<T>::fill_ghosts(const Layer<T> &layer, const SortedGraph &graph, const GhostExchange &exchange, Aligned<T> &features) const
{
  if (!exchange.forward) return;
  FeatureRows<T> held{features_of(layer, graph), features.data(), graph, layer.sent_wide() / block<T>(), n_threads_};
  const GhostRows rows = held.view();
  check_exchange(exchange.forward(exchange.context, &rows));
}

template <class T>
void MaceEngine<T>::gather_ghosts(const Layer<T> &layer, const SortedGraph &graph, const GhostExchange &exchange, int n_sets,
                                  Aligned<T> &gradient) const
{
  if (!exchange.reverse) return;
  const BlockedRows<T> blocked = features_of(layer, graph, n_sets);
  if (exchange.shifts)
    over_rows(n_threads_, graph.n_nodes - graph.n_local, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t ghost = first; ghost < last; ++ghost)
        shift_moments(blocked, gradient.data(), graph.n_local + ghost, exchange.shifts + 3 * ghost, layer.sent_wide());
    });
  FeatureRows<T> held{blocked, gradient.data(), graph, layer.sent_wide() / block<T>(), n_threads_};
  const GhostRows rows = held.view();
  check_exchange(exchange.reverse(exchange.context, &rows));
}

template class MaceEngine<float>;
template class MaceEngine<double>;

}    // namespace lmp_uq
