// SPDX-License-Identifier: GPL-2.0-or-later
// A compute whose values of the last step LAMMPS would read again after commands that change the atoms.
#ifndef LMP_UQ_STEP_VALUES_H
#define LMP_UQ_STEP_VALUES_H

namespace lmp_uq {

class StepValues {
 public:
  virtual void forget() = 0;    // at the end of a run: asked for anew they are the same, or an error

 protected:
  ~StepValues() = default;
};

}    // namespace lmp_uq
#endif
