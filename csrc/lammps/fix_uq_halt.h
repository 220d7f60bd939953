// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_FIX_UQ_HALT_H
#define LMP_FIX_UQ_HALT_H

#include "watched_column.h"

#include "lammps/fix.h"

#include <string>

namespace LAMMPS_NS {

// fix ID group uq/halt N field > x [consecutive m] [error soft|hard] [pair N]
class FixUqHalt : public Fix {
 public:
  FixUqHalt(class LAMMPS *, int, char **);
  int setmask() override;
  void init() override;
  void end_of_step() override;
  void min_post_force(int) override;
  void post_run() override;
  double compute_scalar() override;

 private:
  lmp_uq::WatchedColumn column;
  int number = 0;    // of several mace/uq
  int consecutive = 1, count = 0;
  bool or_equal = false, hard = false;
  double threshold = 0.0, last = 0.0;
  bigint minimized = -1;    // step of the minimization that was checked last
  bool stopped = false;     // the run under way, softly
  bool told = false;        // a rerun, of which one frame is told

  void read_keyword(int, char **, int &);
  void look();
  bigint next_check() const;
  std::string element(int type) const;
  std::string waiting() const;
  bool runs(const char *command) const;
};

}    // namespace LAMMPS_NS
#endif
