// SPDX-License-Identifier: GPL-2.0-or-later
// The atoms that a force computation saw, and whether LAMMPS still holds them: commands between runs move, add, remove and renumber atoms
// while arrays of the last step stay as they are.
#ifndef LMP_UQ_CONFIGURATION_H
#define LMP_UQ_CONFIGURATION_H

#include "atom_routes.h"
#include "base/bytes.h"

#include "lammps/lmptype.h"
#include "lammps/pointers.h"

#include <memory>
#include <string>
#include <vector>

namespace lmp_uq {

class Configuration : protected LAMMPS_NS::Pointers {
 public:
  enum State { SAME, REORDERED, CHANGED };    // REORDERED: the same atoms in another order, on other ranks or with other ghosts

  explicit Configuration(LAMMPS_NS::LAMMPS *lmp) : Pointers(lmp) {}

  void take();      // the present atoms, their ghosts and the box
  void settle();    // positions and box as they are now: fixes may move both between the forces and the end of a step
  void drop();
  void begin_run() { of_this_run_ = false; }    // at its set-up, before it computes forces

  bool taken() const { return step_ >= 0; }
  LAMMPS_NS::bigint step() const { return step_; }
  int n_local() const { return n_local_; }
  LAMMPS_NS::tagint tag(int i) const { return tags_[i]; }
  std::size_t n_bytes() const { return bytes_of(tags_, types_, x_); }

  // The present atoms against those taken. Positions and box count too, but not during the run that the forces are of: there they are LAMMPS'
  // own affair. what: which of them changed. Collective, the same answer on every rank.
  State compare(std::string &what);
  // As the last comparison has found: LAMMPS' communication does not fit the atoms taken any more.
  bool reordered() const { return reordered_; }

  // After REORDERED: rows (n, width) of the atoms taken, as the present atoms have them. Collective.
  void follow(const double *then, int width, std::vector<double> &now) const;
  // The way back, also where nothing was reordered: rows (nlocal, width) of the present atoms, added to those of the atoms taken (n, width).
  void lead_back(const double *now, int width, double *then) const;

 private:
  bool in_motion() const;
  State compare_here() const;
  std::string compare_everywhere();
  bool moved(const double *then, const double *now) const;
  bool box_moved() const;
  void take_positions();

  LAMMPS_NS::bigint step_ = -1;
  bool of_this_run_ = false, reordered_ = false;
  int n_local_ = 0;
  std::vector<LAMMPS_NS::tagint> tags_;    // (n_local + n_ghost)
  std::vector<int> types_;                 // (n_local)
  std::vector<double> x_;                  // (n_local, 3)
  double box_[9] = {};                     // lo, hi, xy xz yz
  std::unique_ptr<AtomRoutes> to_present_;
};

}    // namespace lmp_uq
#endif
