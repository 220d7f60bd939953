// SPDX-License-Identifier: GPL-2.0-or-later
// How a device keeps one layer of a model.
#ifndef LMP_UQ_CUDA_DEVICE_LAYER_H
#define LMP_UQ_CUDA_DEVICE_LAYER_H

#include "mace/cuda/device_common.h"
#include "mace/cuda/device_graph.h"
#include "mace/cuda/device_matrix.h"
#include "mace/layer_model.h"
#include "mace/radial_knots.h"

#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace lmp_uq::cuda {

// Edges of a graph that have a row of their own in one layer: shorter than any table, or no tables wanted.
template <class T> struct OwnRows {
  DeviceArray<int> of_edge;
  DeviceArray<T> rows;
  DeviceArray<double> density;
  ExactRows<T> view() const { return {of_edge.size() ? of_edge.data() : nullptr, rows.data(), density.data()}; }
};

template <class T> struct DeviceSparse {
  DeviceSparse(const SparseMatrix &m, cudaStream_t stream);
  SparseMap<T> view() const { return {start.data(), index.data(), value.data()}; }
  DeviceArray<int> start, index;
  DeviceArray<T> value;
};

// of nonlinear layers, as the CPU's
template <class T> struct GateMatrices {
  std::vector<DeviceMatrix<T>> message, source, message_gates, source_gates, mixing;
};

template <class T> class DeviceLayer {
 public:
  // weights live as long as this object
  DeviceLayer(const Weights &weights, int number, double table_tolerance, cudaStream_t stream);

  const LayerModel &model() const { return model_; }
  const LayerShape &shape() const { return model_.shape(); }
  int number() const { return model_.number(); }
  int wide() const { return padded(model_.n_channels()); }
  int sent_wide() const { return padded(model_.n_sent()); }
  std::size_t row_size() const;                                  // numbers of an interval of a radial table

  SparseMap<T> couple() const { return couple_.view(); }
  SparseMap<T> uncouple() const { return uncouple_.view(); }
  Polynomial polynomial() const;
  const DeviceMatrix<T> &message(int l) const { return message_[l]; }      // layers > 0
  const DeviceMatrix<T> &linear(int l) const { return linear_[l]; }
  const DeviceMatrix<T> &up(int l) const { return up_[l]; }                // layers > 0
  const std::vector<DeviceMatrix<T>> &skip(int z) const { return shape().nonlinear ? skip_ : elements_[z].skip; }    // by degree, layers > 0
  const GateMatrices<T> &gate() const { return gate_; }
  const T *const *coefficients() const { return coefficients_.data(); }    // of products, by element
  const T *const *constant_skip() const { return constant_skip_.data(); }  // layer 0
  const T *const *constant_source() const { return constant_source_.data(); }    // layer 0 of nonlinear models
  const PairTable<T> *tables() const { return tables_.data(); }
  const DeviceCommon<T> &common() const { return common_; }                // layer 0
  CommonShape common_shape(const std::vector<int> &elements) const;        // of a graph that has these, which are prepared
  ReadoutWeights readout() const;

  // Makes what these elements need, tables or common functions of all their pairs too.
  void prepare(const std::vector<int> &elements, cudaStream_t stream);
  OwnRows<T> own_rows(int n_edges, const std::vector<Uncovered> &of, cudaStream_t stream) const;
  std::size_t table_bytes() const { return table_bytes_ + common_.n_bytes(); }
  double table_bytes_of(const std::vector<int> &elements) const;
  std::size_t n_bytes() const;

 private:
  struct Element {
    bool made = false;
    DeviceArray<T> coefficients, constant_skip, constant_source;
    std::vector<DeviceMatrix<T>> skip;
  };
  struct Table {
    RadialSpans spans;
    DeviceArray<T> rows;
    DeviceArray<double> density;
  };
  struct Indices {                                               // of the polynomials
    DeviceArray<int> linear_start, linear, pair_start, pair, third_start, third;
  };
  void make_gate(cudaStream_t stream);
  void make_element(int z, cudaStream_t stream);
  bool goes_by_common(std::size_t n_species) const;
  void make_pair(int centre, int source, bool common, cudaStream_t stream);
  void make_table(int centre, int source, cudaStream_t stream);
  RadialKnots knots(int centre, int source) const
  {
    return {model_.radial(), centre, source, model_.cutoff(), tolerance_, n_coefficients<T>()};
  }
  int table_blocks() const { return padded(model_.radial().n_channels()) / LANES; }
  std::size_t bytes_of(const RadialKnots &knots) const;

  LayerModel model_;
  double tolerance_;
  DeviceSparse<T> couple_, uncouple_;
  Indices indices_;
  std::vector<DeviceMatrix<T>> message_, linear_, up_, skip_;
  GateMatrices<T> gate_;
  std::vector<Element> elements_;
  DeviceArray<const T *> coefficients_, constant_skip_, constant_source_;
  std::map<std::pair<int, int>, std::unique_ptr<Table>> made_;   // by key
  std::vector<PairTable<T>> host_tables_;
  DeviceCommon<T> common_;
  DeviceArray<PairTable<T>> tables_;
  DeviceArray<double> readout_linear_, readout_gate_, readout_gated_, biased_first_, biased_mid_, biased_mid_bias_, biased_last_;
  std::size_t table_bytes_ = 0;
  bool stale_ = false;                                           // the arrays of pointers, also after an attempt that failed
};

}    // namespace lmp_uq::cuda
#endif
