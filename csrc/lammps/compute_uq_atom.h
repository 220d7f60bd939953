// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_COMPUTE_UQ_ATOM_H
#define LMP_COMPUTE_UQ_ATOM_H

#include "fields.h"

#include "lammps/compute.h"

#include <vector>

namespace LAMMPS_NS {

// compute ID group uq/atom field ... [pair N]: each with its threshold behind it where it has one
class ComputeUqAtom : public Compute {
 public:
  ComputeUqAtom(class LAMMPS *, int, char **);
  ~ComputeUqAtom() override;
  void post_constructor() override;
  void init() override;
  void compute_peratom() override;

 private:
  std::vector<lmp_uq::Field> fields;
  int number = 0;    // of several mace/uq

  void require();
};

}    // namespace LAMMPS_NS
#endif
