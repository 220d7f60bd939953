// SPDX-License-Identifier: GPL-2.0-or-later
// The bar of the force error that files before 0.2 hold: numbers of lmp_uq.calibration.force_error_1.ForceError1.
#ifndef LMP_UQ_FORCE_ERROR_1_H
#define LMP_UQ_FORCE_ERROR_1_H

#include "head/force_error.h"

#include <string>
#include <vector>

namespace lmp_uq {

class ForceError1 : public ForceError {
 public:
  explicit ForceError1(const Json &values);    // as ForceError::of
  ForceFormula bar(int which, bool conservative) const override;

 private:
  void check_ranges() const;
  std::string text() const;

  double intercept_, force_exponent_, grade_exponent_;
  double floor_exponent_ = 0.0, least_bar_ = 0.0;    // 0 in files written before floors grew with the grade
  std::vector<double> factors_, conservative_factors_, floors_;
  double n_groups_, n_blocks_;    // whole
};

}    // namespace lmp_uq
#endif
