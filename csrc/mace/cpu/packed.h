// SPDX-License-Identifier: GPL-2.0-or-later
// A matrix for the kernels: channels padded to whole blocks, columns in panels of four blocks. Where there are several groups of channels,
// rows and columns go by (block, group, channel in block).
#ifndef LMP_UQ_PACKED_H
#define LMP_UQ_PACKED_H

#include "mace/cpu/kernels.h"
#include "base/bytes.h"
#include "mace/weights.h"

namespace lmp_uq {

template <class T> int padded(int n_channels) { return (n_channels + block<T>() - 1) / block<T>() * block<T>(); }

template <class T> class Packed {
 public:
  Packed() = default;

  // matrix: (n_in*C_in, C_out), where n_in counts groups of C_in channels; transposed: its transpose is packed
  Packed(const Matrix &matrix, int n_in, int channels_in, int channels_out, bool transposed)
  {
    const int in_size = n_in * padded<T>(channels_in), out_size = padded<T>(channels_out), panel = 4 * block<T>();
    depth_ = transposed ? out_size : in_size;
    n_columns_ = transposed ? in_size : out_size;
    data_.zero(static_cast<std::size_t>((n_columns_ + panel - 1) / panel) * panel * depth_);
    for (int row = 0; row < n_in * channels_in; ++row)
      for (int column = 0; column < channels_out; ++column) {
        const int in = place(row, n_in, channels_in);
        const int k = transposed ? column : in, n = transposed ? in : column;
        data_[(static_cast<std::size_t>(n / panel) * depth_ + k) * panel + n % panel] =
            static_cast<T>(matrix[static_cast<std::size_t>(row) * channels_out + column]);
      }
  }

  std::size_t n_bytes() const { return bytes_of(data_); }

  // c (+)= a times this, see Gemm
  Gemm<T> product(int n_rows, const T *a, const Rows &a_rows, T *c, const Rows &c_rows, bool add) const
  {
    return {n_rows, depth_, n_columns_, a, a_rows, data_.data(), c, c_rows, add};
  }

 private:
  static int place(int k, int n_groups, int n_channels)
  {
    const int group = k / n_channels, channel = k % n_channels;
    return (channel / block<T>() * n_groups + group) * block<T>() + channel % block<T>();
  }

  int depth_ = 0, n_columns_ = 0;
  Aligned<T> data_;
};

}    // namespace lmp_uq
#endif
