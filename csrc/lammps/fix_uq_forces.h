// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_FIX_UQ_FORCES_H
#define LMP_FIX_UQ_FORCES_H

#include "configuration.h"

#include "lammps/fix.h"

#include <string>
#include <vector>

namespace LAMMPS_NS {

class Compute;

// fix ID all UQ/FORCES: made by computes, not by users. What the last force computation of the run saw and gave: where each atom was, ghosts
// too, and the pair style's force on it, before the parts on ghosts go home. Later in the step other fixes add forces and may move atoms and
// box.
class FixUqForces : public Fix {
 public:
  FixUqForces(class LAMMPS *, int, char **);
  int setmask() override;
  void init() override;
  void setup_pre_reverse(int, int) override;
  void pre_reverse(int, int) override;
  void min_pre_reverse(int, int) override;
  void post_run() override;
  double memory_usage() override;

  // the fix of a compute, made by its constructor, found again by its name in every other call, removed by its destructor
  static void add(class LAMMPS *, const Compute *owner);
  static FixUqForces &of(class LAMMPS *, const Compute *owner);
  static void remove(class LAMMPS *, const Compute *owner);

  // Whether LAMMPS holds the atoms of that computation in their order (SAME), or the same ones otherwise (REORDERED). An error on all ranks
  // where it is of another step or of other atoms, or where there was none. Collective.
  lmp_uq::Configuration::State compare(const char *who);

  int number() const { return number_; }    // of the last force computation: another one, other forces
  std::size_t n_all() const { return x_.size() / 3; }    // atoms and ghosts
  const std::vector<double> &x() const { return x_; }    // (n_all, 3)
  const std::vector<double> &f() const { return f_; }    // (n_all, 3) eV/Angstrom
  const lmp_uq::Configuration &configuration() const { return configuration_; }

 private:
  static std::string name(const Compute *owner);
  void take();

  lmp_uq::Configuration configuration_;
  std::vector<double> x_, f_;
  int number_ = 0;
};

}    // namespace LAMMPS_NS
#endif
