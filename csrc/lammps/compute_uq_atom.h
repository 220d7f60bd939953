// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_COMPUTE_UQ_ATOM_H
#define LMP_COMPUTE_UQ_ATOM_H

#include "lammps/compute.h"

#include <vector>

namespace LAMMPS_NS {

// compute ID group uq/atom field ...
class ComputeUqAtom : public Compute {
 public:
  ComputeUqAtom(class LAMMPS *, int, char **);
  ~ComputeUqAtom() override;
  void init() override;
  void compute_peratom() override;
  double memory_usage() override;

 private:
  std::vector<int> fields;
  class PairMaceUq *pair = nullptr;
  int nmax = 0;
  double *vector = nullptr;     // one field
  double **array = nullptr;     // several
};

}    // namespace LAMMPS_NS
#endif
