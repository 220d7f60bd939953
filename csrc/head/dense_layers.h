// SPDX-License-Identifier: GPL-2.0-or-later
// Dense layers with silu between them, on scaled inputs (lmp_uq.calibration.dense_layers).
#ifndef LMP_UQ_DENSE_LAYERS_H
#define LMP_UQ_DENSE_LAYERS_H

#include "file/tensor.h"
#include "head/packed_matrix.h"

#include <cstddef>
#include <vector>

namespace lmp_uq {

class DenseLayers {
 public:
  static constexpr int N_LAYERS = 3;

  // arrays: input_mean, input_scale, weight_k, bias_k of a file that has passed its checks
  explicit DenseLayers(const Tensors &arrays);

  int n_inputs() const { return weight_[0].depth(); }
  int width() const;    // numbers that a row needs of each scratch array
  std::size_t n_bytes() const;
  bool has_positive_scales() const;

  // of input number p
  double scaled(int p, double value) const { return (value - mean_[p]) / scale_[p]; }

  struct Outputs {
    const double *first;
    std::size_t stride;    // of a row
  };
  // Outputs of n <= PackedMatrix::BLOCK rows of scaled inputs in `in` (n, n_inputs()); in and out: (n, width()) scratch, aligned to 64
  // bytes, one of which holds them
  Outputs apply(int n, double *in, double *out) const;

 private:
  std::vector<double> mean_, scale_;
  PackedMatrix weight_[N_LAYERS];    // transposed
  std::vector<double> bias_[N_LAYERS];
};

}    // namespace lmp_uq
#endif
