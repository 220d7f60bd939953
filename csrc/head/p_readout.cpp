// SPDX-License-Identifier: GPL-2.0-or-later
#include "head/p_readout.h"

#include "base/aligned.h"
#include "base/threads.h"
#include "formulas/activations.h"

#include <algorithm>

namespace lmp_uq {

constexpr char SECTION[] = "posterior/p_readout";
constexpr std::size_t BLOCK = PackedMatrix::BLOCK;

std::unique_ptr<PReadout> PReadout::of(const ModelFile &file)
{
  const Json &posterior = file.header().at("posterior");
  const Json *entry = posterior.is_null() ? nullptr : posterior.find("p_readout");
  return entry && !entry->is_null() ? std::make_unique<PReadout>(file.section(SECTION)) : nullptr;
}

PReadout::PReadout(const Tensors &arrays)
    : mean_(arrays.at("input_mean").doubles()), scale_(arrays.at("input_scale").doubles()), output_(arrays.at("output").doubles()),
      linear_(arrays.at("linear").doubles()), member_bias_(arrays.at("member_bias").doubles())
{
  const auto *w = static_cast<const double *>(arrays.at("weight").data);
  const int width = static_cast<int>(mean_.size()), length = static_cast<int>(output_.size());
  weight_ = PackedMatrix(width, length, [&](int p, int u) { return w[u * width + p]; });
  inward_ = PackedMatrix(length, width, [&](int u, int p) { return w[u * width + p] / scale_[p]; });
}

std::size_t PReadout::n_bytes() const
{
  return weight_.n_bytes() + inward_.n_bytes() + bytes_of(mean_, scale_, output_, linear_, member_bias_);
}

// work(first atom, how many, scaled descriptors (n, P), inputs of the hidden units (n, stride))
template <class F> void PReadout::by_blocks(std::size_t n, const double *descriptors, const F &work) const
{
  const std::size_t width = mean_.size();
  in_parallel(n_threads_, [&](int part) {
    Aligned<double> x(BLOCK * width), hidden(BLOCK * weight_.stride());
    const std::size_t last = n * (part + 1) / n_threads_;
    for (std::size_t first = n * part / n_threads_; first < last; first += BLOCK) {
      const std::size_t count = std::min(BLOCK, last - first);
      for (std::size_t i = 0; i < count; i++)
        for (std::size_t p = 0; p < width; p++) x[i * width + p] = (descriptors[(first + i) * width + p] - mean_[p]) / scale_[p];
      weight_.multiply(static_cast<int>(count), x.data(), width, hidden.data());
      work(first, count, x.data(), hidden.data());
    }
  });
}

void PReadout::slopes(std::size_t n, const double *descriptors, int first_member, int n_members, double *weights) const
{
  const std::size_t width = mean_.size(), length = output_.size(), stride = weight_.stride();
  by_blocks(n, descriptors, [&](std::size_t first, std::size_t count, const double *, const double *hidden) {
    Aligned<double> slopes(BLOCK * length), rows(BLOCK * inward_.stride());
    for (int k = 0; k < n_members; k++) {
      const double *bias = member_bias_.data() + (first_member + k) * length;
      for (std::size_t i = 0; i < count; i++)
        for (std::size_t u = 0; u < length; u++) slopes[i * length + u] = silu_slope(hidden[i * stride + u] + bias[u], output_[u]);
      inward_.multiply(static_cast<int>(count), slopes.data(), length, rows.data());
      for (std::size_t i = 0; i < count; i++)
        for (std::size_t p = 0; p < width; p++)
          weights[(k * n + first + i) * width + p] = rows[i * inward_.stride() + p] + linear_[p] / scale_[p];
    }
  });
}

void PReadout::energies(std::size_t n, const double *descriptors, int n_members, double *sums) const
{
  const std::size_t width = mean_.size(), length = output_.size(), stride = weight_.stride();
  std::vector<double> of_atoms(n * n_members);
  by_blocks(n, descriptors, [&](std::size_t first, std::size_t count, const double *x, const double *hidden) {
    for (std::size_t i = 0; i < count; i++) {
      double linear = 0.0;
      for (std::size_t p = 0; p < width; p++) linear += linear_[p] * x[i * width + p];
      for (int k = 0; k < n_members; k++) {
        double energy = linear;
        for (std::size_t u = 0; u < length; u++) energy += silu(hidden[i * stride + u] + member_bias_[k * length + u], output_[u]);
        of_atoms[(first + i) * n_members + k] = energy;
      }
    }
  });
  std::fill(sums, sums + n_members, 0.0);
  for (std::size_t i = 0; i < n; i++)
    for (int k = 0; k < n_members; k++) sums[k] += of_atoms[i * n_members + k];
}

}    // namespace lmp_uq
