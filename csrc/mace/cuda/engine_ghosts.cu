// SPDX-License-Identifier: GPL-2.0-or-later
// Features of ghosts and their gradients, by way of arrays on the host: only rows that travel leave the device.
#include "mace/cuda/cuda_engine.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <type_traits>

namespace lmp_uq::cuda {

namespace {

// Rows on the host: of local atoms those that an exchange may ask for (set, wanted, size), of ghosts all (set, ghost, size). A node's rows of
// all sets are its row in a message.
template <class T> struct HostRows {
  T *local, *ghosts;
  const DeviceList &list;
  std::size_t size;
  int n_sets;
  std::vector<char> asked;    // (n_local)

  int width() const { return static_cast<int>(size * n_sets * sizeof(T) / sizeof(double)); }
  T *piece(int node, int set)
  {
    const int row = list.row[node], n_local = list.n_local;
    const WantedRows &wanted = list.wanted();
    if (row >= n_local) return ghosts + (static_cast<std::size_t>(set) * (list.n_nodes - n_local) + row - n_local) * size;
    if (wanted.place[row] < 0) throw std::logic_error("an exchange asks for other rows than the one before");
    asked[row] = 1;
    return local + (static_cast<std::size_t>(set) * wanted.rows.size() + wanted.place[row]) * size;
  }

  static void pack(void *holder, int n, const int *nodes, double *out)
  {
    auto &self = *static_cast<HostRows *>(holder);
    for (int k = 0; k < n; ++k, out += self.width())
      for (int set = 0; set < self.n_sets; ++set) std::memcpy(reinterpret_cast<T *>(out) + set * self.size, self.piece(nodes[k], set), self.size * sizeof(T));
  }
  static void unpack(void *holder, int first, int n, const double *in)
  {
    auto &self = *static_cast<HostRows *>(holder);
    for (int k = 0; k < n; ++k, in += self.width())
      for (int set = 0; set < self.n_sets; ++set)
        std::memcpy(self.piece(first + k, set), reinterpret_cast<const T *>(in) + set * self.size, self.size * sizeof(T));
  }
  static void add(void *holder, int n, const int *nodes, const double *in)
  {
    auto &self = *static_cast<HostRows *>(holder);
    for (int k = 0; k < n; ++k, in += self.width())
      for (int set = 0; set < self.n_sets; ++set) {
        T *to = self.piece(nodes[k], set);
        for (std::size_t c = 0; c < self.size; ++c) {
          T more;
          std::memcpy(&more, reinterpret_cast<const T *>(in) + set * self.size + c, sizeof(T));
          to[c] += more;
        }
      }
  }
  GhostRows view() { return {this, width(), std::is_same<T, float>::value, pack, unpack, add}; }
};

// of a ghost's row of moments, before anything travels: see GhostExchange
template <class T> void shift_moments(HostRows<T> &rows, int ghost, const double *shift)
{
  const auto piece = [&](int set) { return rows.piece(rows.list.n_local + ghost, set); };
  for (int set = 0; set < rows.n_sets; set += MOMENTS)
    for (int a = 0; a < 3; ++a)
      for (std::size_t c = 0; c < rows.size; ++c) piece(set + 1 + a)[c] -= static_cast<T>(shift[a]) * piece(set)[c];
}

void want(WantedRows &wanted, std::vector<int> rows, int n_local, cudaStream_t stream)
{
  wanted.place.assign(n_local, -1);
  for (std::size_t k = 0; k < rows.size(); ++k) wanted.place[rows[k]] = static_cast<int>(k);
  wanted.on_device.upload(rows, stream);
  wanted.rows = std::move(rows);
}

// Until an exchange has shown which rows it asks for, it may ask for any.
void want_all(WantedRows &wanted, int n_local, cudaStream_t stream)
{
  std::vector<int> rows(n_local);
  std::iota(rows.begin(), rows.end(), 0);
  want(wanted, std::move(rows), n_local, stream);
}

void want_asked(WantedRows &wanted, const std::vector<char> &asked, cudaStream_t stream)
{
  std::vector<int> rows;
  for (std::size_t row = 0; row < asked.size(); ++row)
    if (asked[row]) rows.push_back(static_cast<int>(row));
  want(wanted, std::move(rows), static_cast<int>(asked.size()), stream);
  wanted.known = true;
}

}    // namespace

template <class T>
void CudaEngine<T>::fill_ghosts(const Layer &layer, const DeviceList &list, const GhostExchange &exchange, DeviceArray<T> &features)
{
  if (!exchange.forward) return;
  WantedRows &wanted = list.wanted();
  if (!wanted.known) want_all(wanted, list.n_local, stream_);
  const std::size_t size = static_cast<std::size_t>(layer.model().n_in()) * layer.sent_wide(), n = wanted.rows.size() * size;
  const std::size_t n_ghosts = list.n_nodes - list.n_local;
  work_.wanted.resize(n), staged_.resize(n), ghosts_.resize(n_ghosts * size);
  fetch_rows<T>({static_cast<int>(wanted.rows.size()), 1, size, 0, wanted.on_device.data(), features.data(), work_.wanted.data()}, stream_);
  work_.wanted.download(staged_.data(), n, stream_);
  stream_.wait();
  HostRows<T> held{staged_.data(), ghosts_.data(), list, size, 1, std::vector<char>(list.n_local, 0)};
  const GhostRows rows = held.view();
  check_exchange(exchange.forward(exchange.context, &rows));
  if (!wanted.known) want_asked(wanted, held.asked, stream_);
  if (n_ghosts) require(cudaMemcpyAsync(features.data() + list.n_local * size, ghosts_.data(), n_ghosts * size * sizeof(T), cudaMemcpyHostToDevice, stream_));
  stream_.wait();    // pinned arrays are written by the next exchange
}

template <class T>
void CudaEngine<T>::gather_ghosts(const Layer &layer, const DeviceList &list, const GhostExchange &exchange, int n_sets, DeviceArray<T> &gradient)
{
  if (!exchange.reverse) return;
  const WantedRows &wanted = list.wanted();
  const std::size_t size = static_cast<std::size_t>(layer.model().n_in()) * layer.sent_wide(), n = n_sets * wanted.rows.size() * size;
  const int n_ghosts = list.n_nodes - list.n_local;
  const std::size_t of_ghosts = n_ghosts * size, of_nodes = list.n_nodes * size;
  staged_.resize(n), ghosts_.resize(n_sets * of_ghosts);
  for (int set = 0; set < n_sets && n_ghosts; ++set)
    require(cudaMemcpyAsync(ghosts_.data() + set * of_ghosts, gradient.data() + set * of_nodes + list.n_local * size, of_ghosts * sizeof(T),
                            cudaMemcpyDeviceToHost, stream_));
  stream_.wait();
  std::fill_n(staged_.data(), n, T(0));
  HostRows<T> held{staged_.data(), ghosts_.data(), list, size, n_sets, std::vector<char>(list.n_local, 0)};
  for (int ghost = 0; ghost < n_ghosts && exchange.shifts; ++ghost) shift_moments(held, ghost, exchange.shifts + 3 * ghost);
  const GhostRows rows = held.view();
  check_exchange(exchange.reverse(exchange.context, &rows));
  work_.wanted.upload(staged_.data(), n, stream_);
  add_rows<T>({static_cast<int>(wanted.rows.size()), n_sets, size, of_nodes, wanted.on_device.data(), gradient.data(), work_.wanted.data()}, stream_);
  stream_.wait();    // as above
}

template class CudaEngine<float>;
template class CudaEngine<double>;

}    // namespace lmp_uq::cuda
