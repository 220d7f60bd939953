// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_FIX_UQ_SELECT_H
#define LMP_FIX_UQ_SELECT_H

#include "lammps/fix.h"

#include <string>
#include <vector>

namespace lmp_uq {
struct AtomMaximum;
}

namespace LAMMPS_NS {

// fix ID group uq/select N field lo hi file F [max m] [append yes|no]
class FixUqSelect : public Fix {
 public:
  FixUqSelect(class LAMMPS *, int, char **);
  int setmask() override;
  void init() override;
  void end_of_step() override;
  double compute_scalar() override;

 private:
  int field = -1;
  double lo = 0.0, hi = 0.0;
  std::string file;
  bigint maximum = 1000, written = 0;
  bool append = false;
  std::vector<int> columns;    // per-atom fields that the model file offers; force_std only beside itself
  class PairMaceUq *pair = nullptr;

  std::vector<double> gather();
  std::string format_frame(const std::vector<double> &atoms, double energy, const lmp_uq::AtomMaximum &worst);
  void write(const std::string &frame);
};

}    // namespace LAMMPS_NS
#endif
