// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_COMPUTE_UQ_HEAT_H
#define LMP_COMPUTE_UQ_HEAT_H

#include "step_values.h"

#include "lammps/compute.h"

namespace LAMMPS_NS {

// compute ID all uq/heat: heat flux of pair style mace/uq, total and convective
class ComputeUqHeat : public Compute, public lmp_uq::StepValues {
 public:
  ComputeUqHeat(class LAMMPS *, int, char **);
  void init() override;
  void compute_vector() override;
  void forget() override;

 private:
  void keep_derivatives();    // of the coming steps

  double flux[6] = {};
};

}    // namespace LAMMPS_NS
#endif
