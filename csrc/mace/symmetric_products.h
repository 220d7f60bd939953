// SPDX-License-Identifier: GPL-2.0-or-later
// The symmetric contraction of MACE (Batatia et al., NeurIPS 2022, eq. 10) as sparse polynomials: the coupling tensors are summed over
// the orders of equal factors, then over the coupling paths with an element's weights.
#ifndef LMP_UQ_SYMMETRIC_PRODUCTS_H
#define LMP_UQ_SYMMETRIC_PRODUCTS_H

#include "mace/polynomial.h"
#include "mace/weights.h"

#include <map>
#include <vector>

namespace lmp_uq {

class SymmetricProducts {
 public:
  SymmetricProducts(const Weights &weights, int layer);

  Polynomial view() const;                            // valid as long as this object
  std::size_t n_coefficients() const { return terms_.size(); }
  Matrix coefficients(int element) const;             // (n_coefficients, C), in the order of Polynomial

 private:
  using Factors = std::vector<int>;                   // rising
  using Sums = std::map<Factors, std::vector<double>>;    // one number for each coupling path
  struct Term {
    int l, order;                                     // order 0: no such term, its coefficient is 0
    std::vector<double> paths;
  };

  void add_output(int l, const std::vector<Sums> &of_order);
  std::vector<std::vector<Sums>> symmetrised(int l) const;    // [component][order]

  const Weights &weights_;
  int layer_;
  std::vector<Term> terms_;
  std::vector<int> linear_start_, linear_, pair_start_, pair_, third_start_, third_;
};

}    // namespace lmp_uq
#endif
