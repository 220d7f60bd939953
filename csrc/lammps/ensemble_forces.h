// SPDX-License-Identifier: GPL-2.0-or-later
// What other models say of the atoms of the run's last force computation. They are evaluated beside the run: LAMMPS' positions and forces,
// and the energies and virials that pair styles have tallied, are afterwards what they were, bit by bit.
#ifndef LMP_UQ_ENSEMBLE_FORCES_H
#define LMP_UQ_ENSEMBLE_FORCES_H

#include "lammps/pointers.h"

#include <cstddef>
#include <vector>

namespace LAMMPS_NS {
class FixUqForces;
class Pair;
}    // namespace LAMMPS_NS

namespace lmp_uq {

class EnsembleForces : protected LAMMPS_NS::Pointers {
 public:
  using Pairs = std::vector<LAMMPS_NS::Pair *>;

  explicit EnsembleForces(LAMMPS_NS::LAMMPS *lmp) : Pointers(lmp) {}

  // The first model is the one of the run, whose forces are there; the others are evaluated once. LAMMPS must hold the atoms of `run` in
  // their order. Collective.
  void evaluate(const std::vector<Pairs> &models, const LAMMPS_NS::FixUqForces &run);

  // of the model of the run, this rank's part, eV: as tallied in that computation; evaluated once more only where nobody had asked for it
  double driver_energy(const Pairs &driver, const LAMMPS_NS::FixUqForces &run);

  // (3) eV/Angstrom, of a model on an atom
  const double *of(int model, int i) const { return forces_.data() + 3 * (static_cast<std::size_t>(n_) * model + i); }
  double energy(int model) const { return energies_[model]; }    // eV, this rank's part; not of the first one
  std::size_t n_bytes() const { return forces_.capacity() * sizeof(double); }

 private:
  int n_ = 0;
  std::vector<double> forces_;      // (models, n, 3)
  std::vector<double> energies_;    // (models)
};

}    // namespace lmp_uq
#endif
