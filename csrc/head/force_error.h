// SPDX-License-Identifier: GPL-2.0-or-later
// The calibrated bar of the force error: numbers of lmp_uq.calibration.force_error.ForceError.
#ifndef LMP_UQ_FORCE_ERROR_H
#define LMP_UQ_FORCE_ERROR_H

#include "base/json.h"

#include <string>
#include <vector>

namespace lmp_uq {

class ForceError {
 public:
  // values: header entry calibration.force_error of a file that has passed its checks
  // std::runtime_error: numbers out of range, entries that are missing or unknown
  explicit ForceError(const Json &values);

  bool has(double level) const;
  int position(double level) const;    // std::runtime_error for a level that was not calibrated

  // bar in eV/Angstrom of level number `which`; force_norm |F| in eV/Angstrom, grade may be infinite
  double bar(int which, bool conservative, double force_norm, double grade) const;

 private:
  void check_ranges() const;
  std::string text() const;

  double intercept_, force_exponent_, grade_exponent_;
  double floor_exponent_ = 0.0, least_bar_ = 0.0;    // 0 in files written before floors grew with the grade
  std::vector<double> levels_, factors_, conservative_factors_, floors_;
  double n_groups_, n_blocks_;    // whole
};

std::string levels_text(const std::vector<double> &levels);    // "0.5, 0.9"
bool is_rising(const std::vector<double> &levels);             // strictly, inside (0, 1)

}    // namespace lmp_uq
#endif
