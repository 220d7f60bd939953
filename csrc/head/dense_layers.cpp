// SPDX-License-Identifier: GPL-2.0-or-later
#include "head/dense_layers.h"

#include "formulas/activations.h"

#include <algorithm>
#include <string>
#include <utility>

namespace lmp_uq {

DenseLayers::DenseLayers(const Tensors &arrays) : mean_(arrays.at("input_mean").doubles()), scale_(arrays.at("input_scale").doubles())
{
  for (int k = 0; k < N_LAYERS; k++) {
    const Tensor &weight = arrays.at("weight_" + std::to_string(k));
    const auto *w = static_cast<const double *>(weight.data);
    const int depth = static_cast<int>(weight.shape[1]);
    weight_[k] = PackedMatrix(depth, static_cast<int>(weight.shape[0]), [&](int row, int c) { return w[c * depth + row]; });
    bias_[k] = arrays.at("bias_" + std::to_string(k)).doubles();
  }
}

int DenseLayers::width() const
{
  int width = PackedMatrix::padded(n_inputs());
  for (const PackedMatrix &weight : weight_) width = std::max(width, weight.stride());
  return width;
}

std::size_t DenseLayers::n_bytes() const
{
  std::size_t n = 0;
  for (const PackedMatrix &weight : weight_) n += weight.n_bytes();
  return n;
}

bool DenseLayers::has_positive_scales() const
{
  return std::all_of(scale_.begin(), scale_.end(), [](double scale) { return scale > 0; });
}

DenseLayers::Outputs DenseLayers::apply(int n, double *in, double *out) const
{
  std::size_t stride = n_inputs();
  for (int k = 0; k < N_LAYERS; k++) {
    weight_[k].multiply(n, in, stride, out);
    stride = weight_[k].stride();
    for (int i = 0; i < n; i++)
      for (std::size_t c = 0; c < bias_[k].size(); c++) {
        double &z = out[i * stride + c];
        z += bias_[k][c];
        if (k < N_LAYERS - 1) z = silu(z);
      }
    std::swap(in, out);
  }
  return {in, stride};
}

}    // namespace lmp_uq
