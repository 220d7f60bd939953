// SPDX-License-Identifier: GPL-2.0-or-later
#include "linear/linear_potential.h"

#include <numeric>
#include <stdexcept>

namespace lmp_uq {

LinearPotential::LinearPotential(const std::string &path) : file_(std::make_unique<ModelFile>(ModelFile::read(path)))
{
  const Json &header = file_->header(), &backbone = header.at("backbone");
  const std::string &family = backbone.at("family").string();
  if (family == "mace") throw std::runtime_error(path + " holds a model of family mace; accepted: snap or compute, a linear potential");
  if (header.at("posterior").is_null()) throw std::runtime_error(path + " has no posterior: lmp-uq fit writes one");
  for (const auto &element : header.at("elements").array()) elements_.push_back(element.string());
  descriptors_ = DescriptorSource::of(backbone, elements_.size());
  coefficients_ = file_->section("backbone").at("coefficients").doubles();
  std::vector<int> numbers(elements_.size());
  std::iota(numbers.begin(), numbers.end(), 0);
  PosteriorOptions options;
  options.name = path;
  posterior_ = std::make_unique<Posterior>(*file_, numbers, options);
  if (posterior_->n_members() < 1) throw std::runtime_error(path + " holds no members, which bounds are made for: lmp-uq fit draws them");
  file_->keep_only("backbone");
}

double LinearPotential::energy(int element, const double *row) const
{
  const std::size_t n = descriptors_->n_descriptors();
  const double *theta = coefficients_.data() + element * n;
  return std::inner_product(row, row + n, theta, coefficients_[width() + element]);
}

void LinearPotential::place(int element, const double *row, double *blocks) const
{
  const std::size_t n = descriptors_->n_descriptors();
  for (std::size_t k = 0; k < n; k++) blocks[element * n + k] += row[k];
}

double LinearPotential::row_energy(const double *blocks) const
{
  return std::inner_product(blocks, blocks + width(), coefficients_.data(), 0.0);
}

}    // namespace lmp_uq
