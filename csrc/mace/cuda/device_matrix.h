// SPDX-License-Identifier: GPL-2.0-or-later
// A matrix for the device's products, in both directions; channels padded to whole blocks.
#ifndef LMP_UQ_CUDA_DEVICE_MATRIX_H
#define LMP_UQ_CUDA_DEVICE_MATRIX_H

#include "base/environment.h"
#include "mace/cuda/device.h"
#include "mace/cuda/kernels.h"
#include "mace/matrix.h"

namespace lmp_uq::cuda {

template <class T> class DeviceMatrix {
 public:
  // matrix: (n_in*C_in, C_out), where n_in counts groups of C_in channels
  DeviceMatrix(const Matrix &matrix, int n_in, int channels_in, int channels_out, cudaStream_t stream)
      : depth_(n_in * padded(channels_in)), n_columns_(padded(channels_out))
  {
    std::vector<T> forward(static_cast<std::size_t>(depth_) * n_columns_), reverse(forward.size());
    for (int row = 0; row < n_in * channels_in; ++row)
      for (int column = 0; column < channels_out; ++column) {
        const std::size_t k = static_cast<std::size_t>(row / channels_in) * padded(channels_in) + row % channels_in;
        const T value = static_cast<T>(matrix[static_cast<std::size_t>(row) * channels_out + column]);
        forward[k * n_columns_ + column] = value;
        reverse[static_cast<std::size_t>(column) * depth_ + k] = value;
      }
    forward_.upload(forward, stream);
    reverse_.upload(reverse, stream);
    require(cudaStreamSynchronize(stream));    // the host's arrays end here
  }

  // c (+)= a times this, or times its transpose
  void times(int n_rows, const T *a, const Rows &a_rows, T *c, const Rows &c_rows, bool add, cudaStream_t stream) const
  {
    gemm<T>({n_rows, depth_, n_columns_, a, a_rows, forward_.data(), c, c_rows, add, tf32_}, stream);
  }
  void times_transposed(int n_rows, const T *a, const Rows &a_rows, T *c, const Rows &c_rows, bool add, cudaStream_t stream) const
  {
    gemm<T>({n_rows, n_columns_, depth_, a, a_rows, reverse_.data(), c, c_rows, add, tf32_}, stream);
  }
  std::size_t n_bytes() const { return forward_.bytes() + reverse_.bytes(); }

 private:
  int depth_, n_columns_;
  bool tf32_ = environment_word("LMP_UQ_CUDA_TF32", {"yes", "no"}) == "yes" && sizeof(T) == 4;
  DeviceArray<T> forward_, reverse_;
};

}    // namespace lmp_uq::cuda
#endif
