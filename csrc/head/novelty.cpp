// SPDX-License-Identifier: GPL-2.0-or-later
#include "head/novelty.h"

#include "formulas/bars.h"

#include <cmath>
#include <limits>

namespace lmp_uq {

Novelty::Novelty(const Tensors &grade, const std::vector<int> &elements)
{
  const Tensor &mean = grade.at("mean"), &whitening = grade.at("whitening");
  const std::size_t n_elements = mean.shape[0], n = mean.shape[1];
  n_descriptors_ = static_cast<int>(n);
  radius_.assign(n_elements, 0.0);
  mean_.resize(n_elements);
  whitening_.resize(n_elements);
  const std::vector<double> radius = grade.at("radius").doubles();
  for (const int z : elements) {
    if (std::isnan(radius[z]) || knows(z)) continue;
    radius_[z] = radius[z];
    const double *first = static_cast<const double *>(mean.data) + z * n;
    mean_[z].assign(first, first + n);
    const double *w = static_cast<const double *>(whitening.data) + z * n * n;
    whitening_[z] = PackedMatrix(n_descriptors_, n_descriptors_, [&](int k, int c) { return w[c * n + k]; });
  }
}

void Novelty::grades(int element, int n, const double *const *rows, double *difference, double *product, double *grade) const
{
  if (!knows(element)) {
    for (int i = 0; i < n; i++) grade[i] = std::numeric_limits<double>::infinity();
    return;
  }
  const double *mean = mean_[element].data();
  for (int i = 0; i < n; i++)
    for (int p = 0; p < n_descriptors_; p++) difference[static_cast<std::size_t>(i) * n_descriptors_ + p] = rows[i][p] - mean[p];
  const PackedMatrix &whitening = whitening_[element];
  whitening.multiply(n, difference, n_descriptors_, product);
  for (int i = 0; i < n; i++) {
    const double *row = product + static_cast<std::size_t>(i) * whitening.stride();
    double square = 0.0;
    for (int p = 0; p < n_descriptors_; p++) square += row[p] * row[p];
    grade[i] = grade_of(square, radius_[element]);
  }
}

void Novelty::hand_over(HeadMatrices &to) const
{
  for (int z = 0; z < static_cast<int>(radius_.size()); z++) {
    if (!knows(z)) continue;
    to.known.push_back(z);
    to.radius.push_back(radius_[z]);
    to.mean.insert(to.mean.end(), mean_[z].begin(), mean_[z].end());
    for (int k = 0; k < n_descriptors_; k++)
      for (int c = 0; c < n_descriptors_; c++) to.whitening.push_back(whitening_[z].entry(k, c));
  }
}

std::size_t Novelty::n_bytes() const
{
  std::size_t n = bytes_of(radius_);
  for (const auto &mean : mean_) n += bytes_of(mean);
  for (const PackedMatrix &whitening : whitening_) n += whitening.n_bytes();
  return n;
}

}    // namespace lmp_uq
