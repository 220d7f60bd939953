// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_FIX_UQ_COLUMNS_H
#define LMP_FIX_UQ_COLUMNS_H

#include "configuration.h"

#include "lammps/fix.h"

#include <string>

namespace LAMMPS_NS {

class Compute;

// fix ID all UQ/COLUMNS n: made by computes, not by users. The n per-atom columns of one compute, and the atoms that the last run left. LAMMPS
// reads columns that were evaluated between runs again, also after a command that moves atoms in memory or between ranks: until the next
// set-up these columns go along, and atoms that are new have nan.
class FixUqColumns : public Fix {
 public:
  FixUqColumns(class LAMMPS *, int, char **);
  ~FixUqColumns() override;
  int setmask() override;
  void post_run() override;
  void grow_arrays(int) override;
  void copy_arrays(int, int, int) override;
  void set_arrays(int) override;
  int pack_exchange(int, double *) override;
  int unpack_exchange(int, double *) override;
  double memory_usage() override;

  // the fix of a compute, made by its constructor, found again by its name in every other call, removed by its destructor
  static void add(class LAMMPS *, Compute *owner, int n_columns);
  static FixUqColumns &of(class LAMMPS *, const Compute *owner);
  static void remove(class LAMMPS *, const Compute *owner);

  void reserve();                            // rows for all present atoms
  double *row(int i) { return rows_[i]; }    // (n)
  void hold();                               // from now on they go along with their atoms
  void release();
  lmp_uq::Configuration &end_of_run() { return end_of_run_; }

 private:
  static std::string name(const Compute *owner);
  void publish();

  const int n_;
  double **rows_ = nullptr;    // (nmax, n)
  int nmax_ = 0;
  bool held_ = false;
  Compute *owner_ = nullptr;   // lives longer: its destructor removes this fix
  lmp_uq::Configuration end_of_run_;
};

}    // namespace LAMMPS_NS
#endif
