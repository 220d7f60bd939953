// SPDX-License-Identifier: GPL-2.0-or-later
#include "head/ordinal_head.h"

#include "base/text.h"
#include "formulas/activations.h"
#include "head/force_error.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace lmp_uq {

OrdinalHead::OrdinalHead(const Json &header, const Tensors &arrays) : layers_(arrays)
{
  for (const Json &threshold : header.at("thresholds").array()) thresholds_.push_back(threshold.number());
  if (!layers_.has_positive_scales()) throw std::runtime_error("OrdinalHead: needs input_scale > 0");
}

int OrdinalHead::position(double threshold) const
{
  const auto found = std::find(thresholds_.begin(), thresholds_.end(), threshold);
  if (found == thresholds_.end())
    throw std::runtime_error("reliability: threshold " + to_text(threshold) + " was not trained; accepted: " + levels_text(thresholds_) +
                             " eV/Angstrom");
  return static_cast<int>(found - thresholds_.begin());
}

bool OrdinalHead::is_for(const ForceVariables &of) { return of.grade <= 1.0 && std::isfinite(of.neighbours); }

void OrdinalHead::above(int which, int n, const double *const *rows, const ForceVariables *variables, double *in, double *out,
                        double *probability) const
{
  const int n_inputs = layers_.n_inputs(), n_descriptors = n_inputs - N_VARIABLES;
  for (int i = 0; i < n; i++) {
    const double more[] = {variables[i].force + FORCE_OFFSET, variables[i].grade + GRADE_OFFSET, variables[i].neighbours + GRADE_OFFSET};
    double *x = in + static_cast<std::size_t>(i) * n_inputs;
    for (int p = 0; p < n_inputs; p++) x[p] = layers_.scaled(p, p < n_descriptors ? rows[i][p] : std::log(more[p - n_descriptors]));
  }
  const DenseLayers::Outputs found = layers_.apply(n, in, out);
  for (int i = 0; i < n; i++) {
    const double *outputs = found.first + i * found.stride;
    double logit = outputs[0];    // falls from threshold to threshold
    for (int k = 1; k <= which; k++) logit -= softplus(outputs[k]);
    probability[i] = sigmoid(logit);
  }
}

}    // namespace lmp_uq
