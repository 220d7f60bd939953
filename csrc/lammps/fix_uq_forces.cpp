// SPDX-License-Identifier: GPL-2.0-or-later
#include "fix_uq_forces.h"

#include "guard.h"

#include "lammps/atom.h"
#include "lammps/compute.h"
#include "lammps/error.h"
#include "lammps/lammps.h"
#include "lammps/modify.h"
#include "lammps/update.h"

using namespace LAMMPS_NS;
using lmp_uq::Configuration;

FixUqForces::FixUqForces(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg), configuration_(lmp)
{
  if (narg != 3) error->all(FLERR, "Fix UQ/FORCES belongs to the computes of lmp-uq and is not defined by users");
}

int FixUqForces::setmask() { return FixConst::PRE_REVERSE | FixConst::MIN_PRE_REVERSE | FixConst::POST_RUN; }

void FixUqForces::init() { configuration_.begin_run(); }

void FixUqForces::setup_pre_reverse(int, int) { take(); }
void FixUqForces::pre_reverse(int, int) { take(); }
void FixUqForces::min_pre_reverse(int, int) { take(); }

void FixUqForces::take()
{
  lmp_uq::guarded(lmp, "Fix UQ/FORCES", [&] {
    const std::size_t n = 3 * static_cast<std::size_t>(atom->nlocal + atom->nghost);
    const double *x = n ? &atom->x[0][0] : nullptr, *f = n ? &atom->f[0][0] : nullptr;
    x_.assign(x, x + n);
    f_.assign(f, f + n);
    configuration_.take();
  });
  number_++;
}

void FixUqForces::post_run() { configuration_.settle(); }

Configuration::State FixUqForces::compare(const char *who)
{
  if (!configuration_.taken()) error->all(FLERR, "{}: there have been no forces since it was defined: run 0 first", who);
  if (configuration_.step() != update->ntimestep)
    error->all(FLERR, "{}: asked for on step {}, but forces were last computed on step {}", who, update->ntimestep, configuration_.step());
  std::string what;
  Configuration::State state = Configuration::SAME;
  lmp_uq::guarded(lmp, who, [&] { state = configuration_.compare(what); });
  if (state == Configuration::CHANGED)
    error->all(FLERR, "{}: atoms changed since the last force computation ({}): run 0 first", who, what);
  return state;
}

std::string FixUqForces::name(const Compute *owner) { return std::string(owner->id) + "_UQ_FORCES"; }

void FixUqForces::add(LAMMPS *lmp, const Compute *owner) { lmp->modify->add_fix(name(owner) + " all UQ/FORCES"); }

FixUqForces &FixUqForces::of(LAMMPS *lmp, const Compute *owner)
{
  auto fix = dynamic_cast<FixUqForces *>(lmp->modify->get_fix_by_id(name(owner)));
  if (!fix)
    lmp->error->all(FLERR, "Compute {}: its fix {} has been deleted: define the compute again", owner->style, name(owner));
  return *fix;
}

void FixUqForces::remove(LAMMPS *lmp, const Compute *owner)
{
  if (lmp->modify->get_fix_by_id(name(owner))) lmp->modify->delete_fix(name(owner));
}

double FixUqForces::memory_usage()
{
  return static_cast<double>(lmp_uq::bytes_of(x_, f_) + configuration_.n_bytes());
}
