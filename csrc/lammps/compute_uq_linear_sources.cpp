// SPDX-License-Identifier: GPL-2.0-or-later
// ComputeUqLinear: the computes that it reads, and their columns.
#include "compute_uq_linear.h"

#include "linear/linear_potential.h"

#include "lammps/atom.h"
#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/modify.h"
#include "lammps/update.h"

#include <algorithm>
#include <cstring>

using namespace LAMMPS_NS;

std::string ComputeUqLinear::compute_id(const std::string &word, const char *what)
{
  const bool begins = word.rfind("c_", 0) == 0, all = word.size() > 5 && word.compare(word.size() - 3, 3, "[*]") == 0;
  if (!begins || !all)
    error->all(FLERR, "Compute uq/linear: {} of {} are {}; accepted: c_ID[*], all columns of a per-atom compute", what, file, word);
  return word.substr(2, word.size() - 5);
}

Compute *ComputeUqLinear::descriptors() { return find_compute(descriptor_id, Role::DESCRIPTORS, potential->descriptors().n_descriptors()); }

Compute *ComputeUqLinear::gradient()
{
  return find_compute(gradient_id, Role::GRADIENT, 3 * static_cast<long>(potential->descriptors().n_descriptors()) * atom->ntypes);
}

Compute *ComputeUqLinear::virial_source()
{
  return find_compute(virial_id, Role::VIRIAL, 6 * static_cast<long>(potential->descriptors().n_descriptors()) * atom->ntypes);
}

static bool has_blocks_of_atoms(const Compute *compute) { return strcmp(compute->style, "podd/atom") == 0; }

// a per-atom compute of group all with so many columns
Compute *ComputeUqLinear::find_compute(const std::string &name, Role role, long width)
{
  Compute *found = modify->get_compute_by_id(name);
  if (!found) error->all(FLERR, "Compute uq/linear: there is no compute {}; accepted: {}", name, accepted(role));
  if (!found->peratom_flag) error->all(FLERR, "Compute uq/linear: compute {} has no per-atom values; accepted: {}", name, accepted(role));
  if (found->igroup != 0)
    error->all(FLERR, "Compute uq/linear: compute {} is not of group all; accepted: {}", name, accepted(role));
  const long columns = std::max(1, found->size_peratom_cols), n_own = static_cast<long>(potential->descriptors().n_descriptors());
  if (role == Role::GRADIENT) {
    by_moved_atom = has_blocks_of_atoms(found);
    if (by_moved_atom) width = 3 * n_own * static_cast<long>(atom->natoms);
    if (by_moved_atom && (comm->nprocs > 1 || !atom->tag_consecutive()))
      error->all(FLERR, "Compute uq/linear: compute {} of style podd/atom needs one MPI rank and atom IDs from 1 to {}", name, atom->natoms);
  }
  if (columns == width) return found;
  if (role == Role::GRADIENT && by_moved_atom && columns % (3 * n_own) == 0)
    error->all(FLERR, "Compute uq/linear: compute {} of style podd/atom has no blocks for {} atoms; accepted: as many atoms as there were when it "
               "was defined", name, atom->natoms);
  const long factor = width / n_own;
  const std::string hint = columns % factor ? "" : potential->descriptors().hint(columns / factor);
  error->all(FLERR, "Compute uq/linear: compute {} has {} columns, {} needs {}{}; accepted: {}", name, columns, file, width,
             hint.empty() ? "" : " (" + hint + ")", accepted(role));
  return nullptr;
}

std::string ComputeUqLinear::accepted(Role role) const
{
  std::vector<int> elements(element_of_type.begin() + 1, element_of_type.end());
  for (int &element : elements) element = std::max(element, 0);
  return "compute ID all " + potential->descriptors().compute(role, elements);
}

void ComputeUqLinear::invoke(Compute *compute)
{
  if (compute->invoked_peratom == update->ntimestep) return;
  compute->compute_peratom();
  compute->invoked_flag |= Compute::INVOKED_PERATOM;
}

const double *ComputeUqLinear::row_of(Compute *compute, int i) const
{
  return compute->size_peratom_cols ? compute->array_atom[i] : compute->vector_atom + i;
}

// Added to a row. Blocks are of atoms of each type, moved by this atom; or, of each centre, of every atom that moves.
void ComputeUqLinear::gradient_row(Compute *source, int i, int axis, double *row) const
{
  const std::size_t n_own = potential->descriptors().n_descriptors();
  if (by_moved_atom) {
    for (int centre = 0; centre < atom->nlocal; centre++)
      if (const int element = element_of_type[atom->type[centre]]; element >= 0)
        potential->place(element, row_of(source, centre) + (3 * (atom->tag[i] - 1) + axis) * n_own, row);
    return;
  }
  for (int type = 1; type <= atom->ntypes; type++)
    if (element_of_type[type] >= 0) potential->place(element_of_type[type], row_of(source, i) + (3 * (type - 1) + axis) * n_own, row);
}
