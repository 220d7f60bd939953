// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_FIX_UQ_SELECT_H
#define LMP_FIX_UQ_SELECT_H

#include "output_file.h"
#include "watched_column.h"

#include "lammps/fix.h"

#include <string>
#include <vector>

namespace lmp_uq {
class ForceComputation;
struct AtomMaximum;
}

namespace LAMMPS_NS {

// fix ID group uq/select N field lo hi file F [max m] [append yes|no] [pair N]
class FixUqSelect : public Fix {
 public:
  FixUqSelect(class LAMMPS *, int, char **);
  int setmask() override;
  void init() override;
  void setup(int) override;
  void post_force(int) override;
  void post_force_respa(int, int, int) override;
  void end_of_step() override;
  double compute_scalar() override;
  void write_restart(FILE *) override;
  void restart(char *) override;
  double memory_usage() override;

 private:
  // What the last forces belong to; at the end of the step other fixes may have moved box and atoms.
  struct Moment {
    bigint step = -1;
    std::vector<tagint> tags;    // (nlocal)
    std::vector<double> x;       // (nlocal, 3) Angstrom
    double box[6] = {};          // lengths, then xy xz yz, Angstrom
  };

  lmp_uq::WatchedColumn column;
  int number = 0;    // of several mace/uq
  double lo = 0.0, hi = 0.0;
  lmp_uq::OutputFile out;
  bigint maximum = 1000, written = 0;
  bool append = false;
  std::vector<lmp_uq::Field> fields;    // offered, of no more passes than the one that selects; error_above only beside itself
  Moment moment;

  bigint next_check() const;
  std::size_t width() const;    // of a row
  double upper_limit(const std::string &word) const;
  void look();
  void check_moment();
  std::vector<double> own_rows(lmp_uq::ForceComputation &);
  std::vector<double> gather(std::vector<double> mine);
  std::string format_frame(class PairMaceUq &, const std::vector<double> &rows, double energy, const lmp_uq::AtomMaximum &worst);
};

}    // namespace LAMMPS_NS
#endif
