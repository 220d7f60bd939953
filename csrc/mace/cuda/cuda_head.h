// SPDX-License-Identifier: GPL-2.0-or-later
// The posterior head of an engine on a device: its matrices there, and what the host asks of them.
#ifndef LMP_UQ_CUDA_HEAD_H
#define LMP_UQ_CUDA_HEAD_H

#include "mace/cuda/cuda_engine.h"
#include "mace/cuda/head_kernels.h"

namespace lmp_uq::cuda {

template <class T> class CudaHead : public Engine::Head {
 public:
  // engine: lives longer than this; matrices are copied
  CudaHead(CudaEngine<T> &engine, const lmp_uq_head_matrices &matrices);

  std::size_t n_bytes() const override;
  void energy_bars(const Engine::State &state, double *std, double *lower, double *upper) override;
  void grades(const Engine::State &state, double *grade) override;
  void force_values(std::size_t n, const ForceColumns &variables, const ForceFormula &formula, double *values) override;
  void member_std(std::size_t n, int n_members, const double *forces, double *std) override;
  void feature_sum(const Engine::State &state, double *sum) override;
  void neighbour_means(const Engine::State &state, const double *values, double *means) override;

 private:
  using Evaluated = typename CudaEngine<T>::Evaluated;
  struct Element {
    DeviceArray<double> mean, whitening;
    double radius = 0.0;               // 0: not known
  };
  static const Evaluated &of(const Engine::State &state) { return dynamic_cast<const Evaluated &>(state); }
  RowProduct<T> product(const Evaluated &state, int first, int last, const double *shift, const DeviceArray<double> &matrix, const Columns &columns) const
  {
    return {last - first, n_descriptors_, state.descriptors.data() + static_cast<std::size_t>(first) * n_descriptors_, shift, matrix.data(), columns};
  }

  CudaEngine<T> &engine_;
  int n_descriptors_, n_modes_, n_bias_;
  double z_;
  Columns of_box_, of_grade_;
  DeviceArray<double> box_, bias_;     // rows of of_box_.stride()
  std::vector<Element> elements_;      // by number in the file, up to the last that is known
  DeviceArray<double> in_, out_, quantiles_, more_;    // work space, sums of sums
};

}    // namespace lmp_uq::cuda
#endif
