// SPDX-License-Identifier: GPL-2.0-or-later
// The learned quantile of the force error (lmp_uq.calibration.quantile_network).
#ifndef LMP_UQ_QUANTILE_NETWORK_H
#define LMP_UQ_QUANTILE_NETWORK_H

#include "base/json.h"
#include "formulas/bars.h"
#include "head/dense_layers.h"
#include "file/tensor.h"

#include <vector>

namespace lmp_uq {

class QuantileNetwork {
 public:
  // header: the entry calibration.quantile_network; arrays: the section of that name, of a file that has passed its checks
  // std::runtime_error: levels or numbers out of range
  QuantileNetwork(const Json &header, const Tensors &arrays);

  int position(double level) const;    // std::runtime_error for a level that was not trained
  std::size_t n_bytes() const { return layers_.n_bytes(); }
  int width() const { return layers_.width(); }    // numbers that an atom needs of each scratch array

  // Whether it is for an atom; elsewhere the bar is that of a ForceError.
  bool is_for(const ForceVariables &of) const;
  // Bars (eV/Angstrom) of level number `which` of at most PackedMatrix::BLOCK atoms: rows[i] points to P descriptors.
  // in and out: (n, width()) scratch, aligned to 64 bytes
  void bars(int which, int n, const double *const *rows, const ForceVariables *variables, double *in, double *out, double *bar) const;

 private:
  void check() const;

  int n_variables_ = 1;    // inputs beside the descriptor: 3, or 1 (the force) in files before 0.2
  DenseLayers layers_;
  std::vector<double> levels_, lower_, upper_, factors_;
};

}    // namespace lmp_uq
#endif
