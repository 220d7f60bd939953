// SPDX-License-Identifier: GPL-2.0-or-later
// The calibrated bar of the force error: numbers of lmp_uq.calibration.force_error.ForceError, or of an older version.
#ifndef LMP_UQ_FORCE_ERROR_H
#define LMP_UQ_FORCE_ERROR_H

#include "base/json.h"
#include "formulas/bars.h"

#include <memory>
#include <string>
#include <vector>

namespace lmp_uq {

class ForceError {
 public:
  virtual ~ForceError() = default;

  // values: header entry calibration.force_error of a file that has passed its checks; without a version it is of version 1
  // std::runtime_error: numbers out of range, entries that are missing or unknown
  static std::unique_ptr<ForceError> of(const Json &values);

  bool has(double level) const;
  int position(double level) const;    // std::runtime_error for a level that was not calibrated

  // of the bar in eV/Angstrom of level number `which`; infinite for an atom without grade
  virtual ForceFormula bar(int which, bool conservative) const = 0;

  virtual bool uses_correction() const { return false; }    // of the variables; the others always are there
  virtual bool has_quantiles() const { return false; }      // of the residuals, which the next method needs
  // of the probability that the force error exceeds a threshold (eV/Angstrom, 0 or more), valid as long as this; std::runtime_error without
  // quantiles
  virtual ForceFormula above(double threshold, bool conservative) const;

 protected:
  std::vector<double> levels_;
};

std::string levels_text(const std::vector<double> &levels);    // "0.5, 0.9"
bool is_rising(const std::vector<double> &levels);             // strictly, inside (0, 1)

}    // namespace lmp_uq
#endif
