// SPDX-License-Identifier: GPL-2.0-or-later
// Learned probability that the force error of an atom exceeds thresholds (lmp_uq.calibration.ordinal_head).
#ifndef LMP_UQ_ORDINAL_HEAD_H
#define LMP_UQ_ORDINAL_HEAD_H

#include "base/json.h"
#include "file/tensor.h"
#include "formulas/bars.h"
#include "head/dense_layers.h"

#include <vector>

namespace lmp_uq {

class OrdinalHead {
 public:
  // header: the entry calibration.ordinal; arrays: the section of that name, of a file that has passed its checks
  // std::runtime_error: numbers out of range
  OrdinalHead(const Json &header, const Tensors &arrays);

  const std::vector<double> &thresholds() const { return thresholds_; }    // eV/Angstrom
  double middle() const { return thresholds_[thresholds_.size() / 2]; }    // the one that is meant where none is named
  int position(double threshold) const;    // std::runtime_error for a threshold that was not trained
  std::size_t n_bytes() const { return layers_.n_bytes(); }
  int width() const { return layers_.width(); }    // numbers that an atom needs of each scratch array

  // Whether it is for an atom; elsewhere the answer is that of error_above. It learned from known ground only.
  static bool is_for(const ForceVariables &of);
  // Probability that the error is above threshold number `which`, of at most PackedMatrix::BLOCK atoms: rows[i] points to P descriptors.
  // in and out: (n, width()) scratch, aligned to 64 bytes
  void above(int which, int n, const double *const *rows, const ForceVariables *variables, double *in, double *out,
             double *probability) const;

 private:
  static constexpr int N_VARIABLES = 3;
  DenseLayers layers_;
  std::vector<double> thresholds_;
};

}    // namespace lmp_uq
#endif
