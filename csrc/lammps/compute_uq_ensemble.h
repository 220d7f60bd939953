// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_COMPUTE_UQ_ENSEMBLE_H
#define LMP_COMPUTE_UQ_ENSEMBLE_H

#include "ensemble_forces.h"
#include "ensemble_model.h"

#include "lammps/compute.h"

#include <string>
#include <vector>

namespace LAMMPS_NS {

// compute ID group uq/ensemble field ... weight model weight model ...: how far models of any pair style disagree with the one that runs
class ComputeUqEnsemble : public Compute {
 public:
  ComputeUqEnsemble(class LAMMPS *, int, char **);
  ~ComputeUqEnsemble() override;
  void post_constructor() override;
  void init() override;
  double compute_scalar() override;
  void compute_vector() override;
  void compute_peratom() override;
  double memory_usage() override;

 private:
  enum Field { V, U, FORCES };

  std::vector<Field> fields;
  std::vector<lmp_uq::EnsembleModel> models;    // the first one drives the run
  lmp_uq::EnsembleForces members;
  std::vector<double> rows;        // (n, columns) of the atoms of the force computation with the number of_forces
  std::vector<double> totals;      // U, spread of energies, d of each model, energy of each model
  std::vector<double> first;       // energies of the first sample, eV
  bigint first_atoms = -1;         // how many there were then
  int of_forces = -1, of_energies = -1;

  void read_words(int, char **);
  int n_columns() const;
  std::vector<lmp_uq::EnsembleForces::Pairs> pairs() const;    // looked up each time: pair styles come and go
  bool in_order(bool known);
  void evaluate();
  void fill_row(int i, double *row);
  void find_largest();
  void evaluate_energies();
  void need_evaluation(bool energies);

  // set-up: what cannot work
  void check() const;
  void check_run() const;
  void check_atoms() const;
  void check_companions() const;
  void check_models() const;
};

}    // namespace LAMMPS_NS
#endif
