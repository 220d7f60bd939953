// SPDX-License-Identifier: GPL-2.0-or-later
// How a device keeps the common functions of the first layer's pairs of elements.
#ifndef LMP_UQ_CUDA_DEVICE_COMMON_H
#define LMP_UQ_CUDA_DEVICE_COMMON_H

#include "mace/common_functions.h"
#include "mace/cuda/device.h"
#include "mace/cuda/first_common.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lmp_uq::cuda {

// What a graph makes of them: its elements, and blocks of LANES functions of each. n_blocks 0: it goes by tables of the columns themselves.
struct CommonShape {
  Species species{};
  int n_blocks = 0;
  int n_functions() const { return species.n * n_blocks * LANES; }
};

template <class T> class DeviceCommon {
 public:
  explicit DeviceCommon(int n_elements);

  // May so many elements go this way, and does it cost less than tables? The number of common functions is a guess.
  bool pays(int n_species, int n_functions, int n_channels) const;

  bool has(int centre, int source) const { return host_tables_[centre * n_elements_ + source].rows; }
  // key: pairs of equal key are made once; tolerance: of a table
  void make(int centre, int source, const std::pair<int, int> &key, const RadialKnots &knots, int n_channels, double tolerance, cudaStream_t stream);
  void upload(cudaStream_t stream);
  CommonShape shape(const std::vector<int> &elements) const;    // rising, all pairs made

  const PairTable<T> *tables() const { return tables_.data(); }    // `rows` as CommonPair says
  const CommonPair<T> *pairs() const { return pairs_.data(); }
  std::size_t n_bytes() const { return n_bytes_; }
  static std::size_t bytes_of(const RadialKnots &knots, int n_channels, double tolerance);

 private:
  struct Pair {
    int n;
    RadialSpans spans;
    DeviceArray<T> rows, columns, transposed;
    DeviceArray<double> density;
  };

  int n_elements_;
  std::string wanted_;                                           // "tables", "common", or empty: what costs less
  std::map<std::pair<int, int>, std::unique_ptr<Pair>> made_;    // by key
  std::vector<PairTable<T>> host_tables_;
  std::vector<CommonPair<T>> host_pairs_;
  DeviceArray<PairTable<T>> tables_;
  DeviceArray<CommonPair<T>> pairs_;
  std::size_t n_bytes_ = 0;
};

}    // namespace lmp_uq::cuda
#endif
