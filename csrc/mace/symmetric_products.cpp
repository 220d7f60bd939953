// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/symmetric_products.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

namespace lmp_uq {

namespace {

constexpr double MAX_COUPLINGS = 10000;    // ways to couple one product to one degree: a damaged file must not ask for all memory

using Pair = std::pair<int, int>;

// Every triple hangs on one of its pairs, one that is needed anyway if there is such.
std::map<Pair, std::vector<std::pair<int, std::vector<int>>>> grouped(const std::vector<std::vector<int>> &pairs,
                                                                     const std::vector<std::vector<int>> &triples)
{
  std::map<Pair, std::vector<std::pair<int, std::vector<int>>>> out;
  for (const auto &p : pairs) out[{p[0], p[1]}];
  for (const auto &t : triples) {
    const std::pair<Pair, int> choices[3] = {{{t[0], t[1]}, t[2]}, {{t[0], t[2]}, t[1]}, {{t[1], t[2]}, t[0]}};
    const auto *chosen = &choices[0];
    for (const auto &choice : choices)
      if (out.count(choice.first)) chosen = &choice;
    out[chosen->first].emplace_back(chosen->second, t);
  }
  return out;
}

}    // namespace

SymmetricProducts::SymmetricProducts(const Weights &weights, int layer) : weights_(weights), layer_(layer)
{
  for (int l = 0; l <= weights.shape().layers[layer].l_out; ++l)
    for (const auto &of_order : symmetrised(l)) add_output(l, of_order);
  linear_start_.push_back(static_cast<int>(linear_.size()));
  pair_start_.push_back(static_cast<int>(pair_.size()) / 2);
  third_start_.push_back(static_cast<int>(third_.size()));
}

std::vector<std::vector<SymmetricProducts::Sums>> SymmetricProducts::symmetrised(int l) const
{
  const int highest = weights_.shape().layers[layer_].correlation, l_max = weights_.shape().l_max, n_in = (l_max + 1) * (l_max + 1);
  std::vector<std::vector<Sums>> out(2 * l + 1, std::vector<Sums>(highest + 1));
  for (int order = 1; order <= highest; ++order) {
    const Tensor &values = weights_.coupling(layer_, l, order, "values");
    const std::vector<double> shape = weights_.coupling(layer_, l, order, "shape").doubles(), u = values.doubles();
    const std::vector<double> flat = weights_.coupling(layer_, l, order, "indices").doubles();
    const bool counted = !shape.empty() && shape.back() >= 1.0 && shape.back() <= MAX_COUPLINGS;    // false for NaN too
    const std::size_t n_paths = counted ? static_cast<std::size_t>(shape.back()) : 0;
    double largest = 0.0, expected = (2 * l + 1) * static_cast<double>(n_paths), found = 1.0;
    for (int k = 0; k < order; ++k) expected *= n_in;
    for (double axis : shape) found *= axis;
    if (found != expected || u.size() != flat.size() || n_paths < 1)
      throw std::runtime_error("MACE tensors: the coupling tensor of order " + std::to_string(order) + " and degree " + std::to_string(l) +
                               " of layer " + std::to_string(layer_) + " does not fit the architecture");
    for (std::size_t k = 0; k < u.size(); ++k) {
      if (!(flat[k] >= 0.0 && flat[k] < found)) throw std::runtime_error("MACE tensors: an index of a coupling tensor is outside its shape");
      std::size_t rest = static_cast<std::size_t>(flat[k]);
      const std::size_t path = rest % n_paths;
      rest /= n_paths;
      Factors factors;
      for (int q = 0; q < order; ++q, rest /= n_in) factors.push_back(static_cast<int>(rest % n_in));
      std::sort(factors.begin(), factors.end());
      std::vector<double> &sum = out[rest][order][factors];
      sum.resize(n_paths, 0.0);
      sum[path] += u[k];
      largest = std::max(largest, std::abs(u[k]));
    }
    // what cancels between orders of factors leaves rounding, and a float32 file has rounding of its own
    const double least = largest * (values.dtype == DType::F64 ? 1e-10 : 1e-6);
    for (auto &component : out)
      for (auto it = component[order].begin(); it != component[order].end();) {
        double size = 0.0;
        for (double value : it->second) size = std::max(size, std::abs(value));
        it = size > least ? std::next(it) : component[order].erase(it);
      }
  }
  return out;
}

void SymmetricProducts::add_output(int l, const std::vector<Sums> &of_order)
{
  std::vector<Factors> factors[4];
  for (std::size_t order = 1; order < of_order.size(); ++order)
    for (const auto &[key, sums] : of_order[order]) factors[order].push_back(key);
  linear_start_.push_back(static_cast<int>(linear_.size()));
  for (const Factors &f : factors[1]) {
    linear_.push_back(f[0]);
    terms_.push_back({l, 1, of_order[1].at(f)});
  }
  pair_start_.push_back(static_cast<int>(pair_.size()) / 2);
  for (const auto &[pair, thirds] : grouped(factors[2], factors[3])) {
    pair_.insert(pair_.end(), {pair.first, pair.second});
    const bool own = std::count(factors[2].begin(), factors[2].end(), Factors{pair.first, pair.second}) > 0;
    terms_.push_back(own ? Term{l, 2, of_order[2].at({pair.first, pair.second})} : Term{l, 0, {}});
    third_start_.push_back(static_cast<int>(third_.size()));
    for (const auto &[third, triple] : thirds) {
      third_.push_back(third);
      terms_.push_back({l, 3, of_order[3].at(triple)});
    }
  }
}

Matrix SymmetricProducts::coefficients(int element) const
{
  const std::size_t n = weights_.shape().n_channels;
  Matrix out(terms_.size() * n, 0.0);
  std::map<std::pair<int, int>, Matrix> cache;
  for (std::size_t k = 0; k < terms_.size(); ++k) {
    const Term &term = terms_[k];
    if (term.order == 0) continue;
    Matrix &w = cache[{term.l, term.order}];
    if (w.empty()) w = weights_.product_weights(layer_, term.l, term.order, element, term.paths.size());
    for (std::size_t path = 0; path < term.paths.size(); ++path)
      for (std::size_t c = 0; c < n; ++c) out[k * n + c] += term.paths[path] * w[path * n + c];
  }
  return out;
}

Polynomial SymmetricProducts::view() const
{
  const int l_max = weights_.shape().l_max, n_out = static_cast<int>(linear_start_.size()) - 1;
  return {(l_max + 1) * (l_max + 1), n_out, static_cast<int>(terms_.size()), linear_start_.data(), linear_.data(), pair_start_.data(),
          pair_.data(), third_start_.data(), third_.data()};
}

}    // namespace lmp_uq
