// SPDX-License-Identifier: GPL-2.0-or-later
#include "fix_uq_columns.h"

#include "guard.h"

#include "lammps/atom.h"
#include "lammps/compute.h"
#include "lammps/error.h"
#include "lammps/lammps.h"
#include "lammps/memory.h"
#include "lammps/modify.h"
#include "lammps/utils.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;

FixUqColumns::FixUqColumns(LAMMPS *lmp, int narg, char **arg) :
    Fix(lmp, narg, arg), n_(narg == 4 ? utils::inumeric(FLERR, arg[3], false, lmp) : 0), end_of_run_(lmp)
{
  if (n_ < 1) error->all(FLERR, "Fix UQ/COLUMNS belongs to the computes of lmp-uq and is not defined by users");
  maxexchange = n_;
  create_attribute = 1;
  FixUqColumns::grow_arrays(atom->nmax);
}

FixUqColumns::~FixUqColumns()
{
  release();
  memory->destroy(rows_);
  if (!owner_) return;
  owner_->vector_atom = nullptr;
  owner_->array_atom = nullptr;
  owner_->invoked_flag = Compute::INVOKED_NONE;
}

int FixUqColumns::setmask() { return FixConst::POST_RUN; }

std::string FixUqColumns::name(const Compute *owner) { return std::string(owner->id) + "_UQ_COLUMNS"; }

void FixUqColumns::add(LAMMPS *lmp, Compute *owner, int n_columns)
{
  auto fix = dynamic_cast<FixUqColumns *>(lmp->modify->add_fix(name(owner) + " all UQ/COLUMNS " + std::to_string(n_columns)));
  fix->owner_ = owner;
  fix->publish();
}

FixUqColumns &FixUqColumns::of(LAMMPS *lmp, const Compute *owner)
{
  auto fix = dynamic_cast<FixUqColumns *>(lmp->modify->get_fix_by_id(name(owner)));
  if (!fix)
    lmp->error->all(FLERR, "Compute {}: its fix {} has been deleted: define the compute again", owner->style, name(owner));
  return *fix;
}

void FixUqColumns::remove(LAMMPS *lmp, const Compute *owner)
{
  if (lmp->modify->get_fix_by_id(name(owner))) lmp->modify->delete_fix(name(owner));
}

void FixUqColumns::publish()
{
  if (!owner_) return;
  if (owner_->size_peratom_cols)
    owner_->array_atom = rows_;
  else
    owner_->vector_atom = rows_ ? rows_[0] : nullptr;
}

void FixUqColumns::post_run()
{
  lmp_uq::guarded(lmp, "Fix UQ/COLUMNS", [&] { end_of_run_.take(); });
  owner_->invoked_flag = Compute::INVOKED_NONE;
  owner_->invoked_peratom = owner_->invoked_vector = owner_->invoked_scalar = -1;    // what the library interface looks at
}

void FixUqColumns::reserve()
{
  if (atom->nmax > nmax_) grow_arrays(atom->nmax);
}

// Atom::add_callback() is for constructors. These columns are called back only while they are held: replicate refuses fixes that always are.
void FixUqColumns::hold()
{
  if (held_) return;
  if (atom->nextra_grow == atom->nextra_grow_max) {
    atom->nextra_grow_max++;
    memory->grow(atom->extra_grow, atom->nextra_grow_max, "atom:extra_grow");
  }
  atom->extra_grow[atom->nextra_grow++] = modify->find_fix(id);
  std::sort(atom->extra_grow, atom->extra_grow + atom->nextra_grow);
  held_ = true;
}

void FixUqColumns::release()
{
  if (held_) atom->delete_callback(id, Atom::GROW);
  held_ = false;
}

void FixUqColumns::grow_arrays(int nmax)
{
  nmax_ = std::max(nmax, 1);    // never empty: a pointer is handed over
  memory->grow(rows_, nmax_, n_, "uq/columns");
  publish();
}

void FixUqColumns::copy_arrays(int i, int j, int) { std::copy_n(rows_[i], n_, rows_[j]); }

void FixUqColumns::set_arrays(int i)
{
  if (held_) std::fill_n(rows_[i], n_, std::nan(""));    // else nobody has made room for it
}

int FixUqColumns::pack_exchange(int i, double *buffer)
{
  std::copy_n(rows_[i], n_, buffer);
  return n_;
}

int FixUqColumns::unpack_exchange(int i, double *buffer)
{
  std::copy_n(buffer, n_, rows_[i]);
  return n_;
}

double FixUqColumns::memory_usage() { return static_cast<double>(nmax_) * n_ * sizeof(double); }
