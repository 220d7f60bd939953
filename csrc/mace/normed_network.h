// SPDX-License-Identifier: GPL-2.0-or-later
// The radial networks of nonlinear layers: steps of linear map, layer normalisation (Ba, Kiros and Hinton, arXiv:1607.06450) and silu, with
// biases, on the radial basis and on embeddings of the elements of both ends.
#ifndef LMP_UQ_NORMED_NETWORK_H
#define LMP_UQ_NORMED_NETWORK_H

#include "mace/weights.h"

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace lmp_uq {

class NormedNetwork {
 public:
  using Rows = std::vector<std::vector<double>>;    // value, first and second derivative with respect to the distance

  NormedNetwork(const Weights &weights, int layer, const std::string &name);

  Rows at(Rows basis, int centre, int source) const;    // of two elements
  Rows hidden(Rows basis, int centre, int source) const;    // what the last map is applied to, and a 1 for its bias
  Matrix last() const;                                      // that map: (hidden functions, columns)

 private:
  const Matrix &first_bias(int centre, int source) const;
  void map(Rows &rows, std::size_t step, int centre, int source) const;
  void normalise(Rows &rows, std::size_t step) const;

  const Weights &weights_;
  int layer_;
  std::string name_;
  std::vector<Matrix> steps_, biases_, scales_, shifts_;    // the first bias depends on the elements
  mutable std::mutex mutex_;    // of first_biases_, which grow while several evaluations run
  mutable std::map<std::pair<int, int>, Matrix> first_biases_;
};

}    // namespace lmp_uq
#endif
