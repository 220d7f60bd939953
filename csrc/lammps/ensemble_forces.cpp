// SPDX-License-Identifier: GPL-2.0-or-later
#include "ensemble_forces.h"

#include "fix_uq_forces.h"
#include "force_computation.h"
#include "pair_mace_uq.h"

#include "lammps/atom.h"
#include "lammps/comm.h"
#include "lammps/force.h"
#include "lammps/pair.h"
#include "lammps/update.h"

#include <algorithm>

using namespace LAMMPS_NS;
using lmp_uq::EnsembleForces;

namespace {

// LAMMPS' positions, as they were in the force computation, and forces, to be written to: given back as found, also by an exception
class Borrowed {
 public:
  Borrowed(Atom &atom, const FixUqForces &run) : n_(3 * run.n_all())
  {
    if (n_ == 0) return;
    x_ = &atom.x[0][0];
    f_ = &atom.f[0][0];
    kept_x_.assign(x_, x_ + n_);
    kept_f_.assign(f_, f_ + n_);
    std::copy(run.x().begin(), run.x().end(), x_);
  }
  ~Borrowed()
  {
    std::copy(kept_x_.begin(), kept_x_.end(), x_);
    std::copy(kept_f_.begin(), kept_f_.end(), f_);
  }
  Borrowed(const Borrowed &) = delete;
  Borrowed &operator=(const Borrowed &) = delete;

  void clear_forces() { std::fill(f_, f_ + n_, 0.0); }
  void set_forces(const std::vector<double> &f) { std::copy(f.begin(), f.end(), f_); }
  const double *forces() const { return f_; }

 private:
  const std::size_t n_;
  double *x_ = nullptr, *f_ = nullptr;
  std::vector<double> kept_x_, kept_f_;
};

// what a pair style has tallied, given back as found
class KeptTally {
 public:
  explicit KeptTally(Pair &pair) : pair_(pair), vdwl_(pair.eng_vdwl), coul_(pair.eng_coul) { std::copy_n(pair.virial, 6, virial_); }
  ~KeptTally()
  {
    pair_.eng_vdwl = vdwl_;
    pair_.eng_coul = coul_;
    std::copy_n(virial_, 6, pair_.virial);
  }
  KeptTally(const KeptTally &) = delete;
  KeptTally &operator=(const KeptTally &) = delete;

 private:
  Pair &pair_;
  double vdwl_, coul_, virial_[6];
};

// adds its forces to LAMMPS' array; its energy
double evaluate_pair(Pair &pair)
{
  const KeptTally kept(pair);
  pair.compute(ENERGY_GLOBAL, VIRIAL_NONE);
  return pair.eng_vdwl + pair.eng_coul;
}

}    // namespace

void EnsembleForces::evaluate(const std::vector<Pairs> &models, const FixUqForces &run)
{
  n_ = atom->nlocal;
  forces_.resize(3 * static_cast<std::size_t>(n_) * models.size());
  energies_.assign(models.size(), 0.0);
  Borrowed arrays(*atom, run);
  for (std::size_t k = 0; k < models.size(); k++) {
    if (k == 0)
      arrays.set_forces(run.f());
    else
      arrays.clear_forces();
    for (Pair *pair : models[k])
      if (k > 0) energies_[k] += evaluate_pair(*pair);
    comm->reverse_comm();
    std::copy_n(arrays.forces(), 3 * static_cast<std::size_t>(n_), forces_.begin() + 3 * static_cast<std::ptrdiff_t>(n_) * k);
  }
}

double EnsembleForces::driver_energy(const Pairs &driver, const FixUqForces &run)
{
  const bool tallied = update->eflag_global == update->ntimestep;
  double energy = 0.0;
  for (Pair *pair : driver) {
    if (auto mace = dynamic_cast<PairMaceUq *>(pair)) {
      energy += mace->last().local_energy();
    } else if (tallied) {
      energy += pair->eng_vdwl + pair->eng_coul;
    } else {
      const Borrowed arrays(*atom, run);
      energy += evaluate_pair(*pair);
    }
  }
  return energy;
}
