// SPDX-License-Identifier: GPL-2.0-or-later
// Rows of numbers from the ranks that have atoms to the ranks that ask for them, found by atom ID. LAMMPS' own exchange knows only where
// its atoms and ghosts are now; this one works for any two lists of them.
#ifndef LMP_UQ_ATOM_ROUTES_H
#define LMP_UQ_ATOM_ROUTES_H

#include "lammps/lmptype.h"

#include <mpi.h>

#include <cstddef>
#include <functional>
#include <vector>

namespace lmp_uq {

class AtomRoutes {
 public:
  using Get = std::function<void(int index, double *row)>;
  using Put = std::function<void(int index, const double *row)>;

  // held: IDs of the atoms whose rows this rank has; wanted: IDs whose rows it asks for, in any number and order. Collective, as all below.
  AtomRoutes(MPI_Comm world, const LAMMPS_NS::tagint *held, int n_held, const LAMMPS_NS::tagint *wanted, int n_wanted);

  bool found_all() const { return found_all_; }    // every ID asked for by any rank is held by one

  void fetch(int width, const Get &get, const Put &put) const;     // put(wanted index) of the row that get(held index) gave
  void gather(int width, const Get &get, const Put &add) const;    // the way back: add(held index), once for each who asked

 private:
  void exchange(int width, const std::vector<int> &from, const std::vector<int> &n_from, const Get &get, const std::vector<int> &to,
                const std::vector<int> &n_to, const Put &put) const;

  MPI_Comm world_;
  int n_ranks_ = 1;
  bool found_all_ = true;
  std::vector<int> held_, n_held_;        // indices that each rank asked for, rank by rank, and their numbers
  std::vector<int> wanted_, n_wanted_;    // the same of those asked for at each rank
};

}    // namespace lmp_uq
#endif
