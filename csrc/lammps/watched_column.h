// SPDX-License-Identifier: GPL-2.0-or-later
// The per-atom values that a fix watches: a field of mace/uq, or a column of any per-atom compute, as that of compute uq/ensemble.
#ifndef LMP_UQ_WATCHED_COLUMN_H
#define LMP_UQ_WATCHED_COLUMN_H

#include "atom_maximum.h"
#include "fields.h"

#include "lammps/lmptype.h"

#include <string>

namespace LAMMPS_NS {
class Compute;
class LAMMPS;
class PairMaceUq;
}    // namespace LAMMPS_NS

namespace lmp_uq {

class WatchedColumn {
 public:
  // words[at]: a field with its threshold behind it, or c_ID or c_ID[n]; at: moved behind them. who begins the messages.
  static WatchedColumn read(LAMMPS_NS::LAMMPS *lmp, const char *who, int n_words, char **words, int &at);

  bool is_field() const { return id_.empty(); }
  const Field &field() const { return field_; }
  std::string text() const { return is_field() ? field_.text() : word_; }    // as input scripts have it
  std::string name() const;                                                   // as columns of a file are called
  std::string unit() const { return is_field() ? field_.info().unit : "of the compute"; }

  // at the set-up of a run: whether it is there; next: the first step on which it will be asked for
  void require(LAMMPS_NS::LAMMPS *lmp, const char *who, int pair_number, LAMMPS_NS::bigint next) const;
  void check_limit(LAMMPS_NS::LAMMPS *lmp, const char *who, double limit) const;

  // Collective. Largest over the group of all ranks, on this step; the next one on which it will be asked for.
  AtomMaximum maximum(LAMMPS_NS::LAMMPS *lmp, const char *who, int pair_number, int groupbit, LAMMPS_NS::bigint next) const;

  // of a compute, after maximum(): the value of a local atom
  double value(LAMMPS_NS::LAMMPS *lmp, const char *who, int i) const;

 private:
  LAMMPS_NS::Compute *compute(LAMMPS_NS::LAMMPS *lmp, const char *who) const;    // looked up each time: computes come and go

  Field field_;
  std::string word_, id_;
  int column_ = 0;    // from 1; 0: the compute has one
};

}    // namespace lmp_uq
#endif
