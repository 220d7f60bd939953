// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_COMPUTE_UQ_HEAT_H
#define LMP_COMPUTE_UQ_HEAT_H

#include "step_values.h"

#include "lammps/compute.h"

#include <vector>

namespace LAMMPS_NS {

// compute ID all uq/heat keyword value: heat flux of pair style mace/uq, total and convective, and how the force members see it
class ComputeUqHeat : public Compute, public lmp_uq::StepValues {
 public:
  ComputeUqHeat(class LAMMPS *, int, char **);
  void init() override;
  void compute_vector() override;
  void forget() override;

 private:
  void keep_derivatives();    // of the coming steps
  void read_words(int, char **);
  int n_values();             // with the model that is loaded

  enum { NO, STD, EACH } members = NO;
  std::vector<double> values;
  int number = 0;    // of several mace/uq
};

}    // namespace LAMMPS_NS
#endif
