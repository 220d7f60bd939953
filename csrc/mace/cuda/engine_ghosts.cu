// SPDX-License-Identifier: GPL-2.0-or-later
// Features of ghosts and their gradients, by way of an array on the host.
#include "mace/cuda/cuda_engine.h"

#include <cstring>
#include <type_traits>

namespace lmp_uq::cuda {

namespace {

// rows (set, n_nodes, size) on the host; a node's rows of all sets are its row in a message
template <class T> struct HostRows {
  T *data;
  const SortedGraph &graph;
  std::size_t size;
  int n_sets;

  int width() const { return static_cast<int>(size * n_sets * sizeof(T) / sizeof(double)); }
  // f(piece of a node in a set, its place among the bytes of its row)
  template <class F> void visit(int node, const F &f) const
  {
    for (int set = 0; set < n_sets; ++set) f(data + (static_cast<std::size_t>(set) * graph.n_nodes + graph.row[node]) * size, set * size * sizeof(T));
  }

  static void pack(void *holder, int n, const int *nodes, double *out)
  {
    const auto &self = *static_cast<const HostRows *>(holder);
    for (int k = 0; k < n; ++k, out += self.width())
      self.visit(nodes[k], [&](T *piece, std::size_t at) { std::memcpy(reinterpret_cast<char *>(out) + at, piece, self.size * sizeof(T)); });
  }
  static void unpack(void *holder, int first, int n, const double *in)
  {
    const auto &self = *static_cast<const HostRows *>(holder);
    for (int k = 0; k < n; ++k, in += self.width())
      self.visit(first + k, [&](T *piece, std::size_t at) { std::memcpy(piece, reinterpret_cast<const char *>(in) + at, self.size * sizeof(T)); });
  }
  static void add(void *holder, int n, const int *nodes, const double *in)
  {
    const auto &self = *static_cast<const HostRows *>(holder);
    for (int k = 0; k < n; ++k, in += self.width())
      self.visit(nodes[k], [&](T *piece, std::size_t at) {
        for (std::size_t c = 0; c < self.size; ++c) {
          T more;
          std::memcpy(&more, reinterpret_cast<const char *>(in) + at + c * sizeof(T), sizeof(T));
          piece[c] += more;
        }
      });
  }
  GhostRows view() { return {this, width(), std::is_same<T, float>::value, pack, unpack, add}; }
};

// of a ghost's row of moments, before anything travels: see GhostExchange
template <class T> void shift_moments(HostRows<T> &rows, int ghost, const double *shift)
{
  const auto piece = [&](int set) { return rows.data + (static_cast<std::size_t>(set) * rows.graph.n_nodes + rows.graph.n_local + ghost) * rows.size; };
  for (int set = 0; set < rows.n_sets; set += MOMENTS)
    for (int a = 0; a < 3; ++a)
      for (std::size_t c = 0; c < rows.size; ++c) piece(set + 1 + a)[c] -= static_cast<T>(shift[a]) * piece(set)[c];
}

}    // namespace

template <class T>
void CudaEngine<T>::fill_ghosts(const Layer &layer, const SortedGraph &graph, const GhostExchange &exchange, DeviceArray<T> &features)
{
  if (!exchange.forward) return;
  const std::size_t size = static_cast<std::size_t>(layer.model().n_in()) * layer.sent_wide(), n_local = graph.n_local * size;
  mirror_.resize(graph.n_nodes * size);
  features.download(mirror_.data(), n_local, stream_);
  stream_.wait();
  HostRows<T> held{mirror_.data(), graph, size, 1};
  const GhostRows rows = held.view();
  check_exchange(exchange.forward(exchange.context, &rows));
  if (mirror_.size() > n_local)
    require(cudaMemcpyAsync(features.data() + n_local, mirror_.data() + n_local, (mirror_.size() - n_local) * sizeof(T), cudaMemcpyHostToDevice, stream_));
}

template <class T>
void CudaEngine<T>::gather_ghosts(const Layer &layer, const SortedGraph &graph, const GhostExchange &exchange, int n_sets, DeviceArray<T> &gradient)
{
  if (!exchange.reverse) return;
  const std::size_t size = static_cast<std::size_t>(layer.model().n_in()) * layer.sent_wide();
  mirror_.resize(n_sets * graph.n_nodes * size);
  gradient.download(mirror_.data(), mirror_.size(), stream_);
  stream_.wait();
  HostRows<T> held{mirror_.data(), graph, size, n_sets};
  for (int ghost = 0; ghost < graph.n_nodes - graph.n_local && exchange.shifts; ++ghost) shift_moments(held, ghost, exchange.shifts + 3 * ghost);
  const GhostRows rows = held.view();
  check_exchange(exchange.reverse(exchange.context, &rows));
  gradient.upload(mirror_.data(), mirror_.size(), stream_);
}

template class CudaEngine<float>;
template class CudaEngine<double>;

}    // namespace lmp_uq::cuda
