// SPDX-License-Identifier: GPL-2.0-or-later
#include "head/novelty.h"

#include "formulas/bars.h"

#include <algorithm>
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
  whiten(element, n, rows, difference, product);
  for (int i = 0; i < n; i++)
    grade[i] = grade_of(square( product + static_cast<std::size_t>(i) * whitening_[element].stride()), radius_[element]);
}

void Novelty::whiten(int element, int n, const double *const *rows, double *difference, double *product) const
{
  const double *mean = mean_[element].data();
  for (int i = 0; i < n; i++)
    for (int p = 0; p < n_descriptors_; p++) difference[static_cast<std::size_t>(i) * n_descriptors_ + p] = rows[i][p] - mean[p];
  whitening_[element].multiply(n, difference, n_descriptors_, product);
}

double Novelty::square(const double *product) const
{
  double square = 0.0;
  for (int p = 0; p < n_descriptors_; p++) square += product[p] * product[p];
  return square;
}

void Novelty::prepare_slopes()
{
  if (!back_.empty()) return;
  back_.resize(radius_.size());
  for (int z = 0; z < static_cast<int>(radius_.size()); z++)
    if (knows(z)) back_[z] = PackedMatrix(n_descriptors_, n_descriptors_, [&](int k, int c) { return whitening_[z].entry(c, k); });
}

// W^T W (D - m) / (|W (D - m)| radius)
void Novelty::slopes(int element, int n, const double *const *rows, const double *factors, double *difference, double *product) const
{
  const std::size_t stride = slope_stride();
  std::fill_n(difference, n * stride, 0.0);
  if (!knows(element)) return;
  whiten(element, n, rows, difference, product);
  for (int i = 0; i < n; i++) {
    double *row = product + i * stride;
    const double length = std::sqrt(square(row)), factor = length > 0.0 ? factors[i] / (length * radius_[element]) : 0.0;
    for (int p = 0; p < n_descriptors_; p++) row[p] *= factor;
  }
  back_[element].multiply(n, product, stride, difference);
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
  for (const auto *matrices : {&whitening_, &back_})
    for (const PackedMatrix &matrix : *matrices) n += matrix.n_bytes();
  return n;
}

}    // namespace lmp_uq
