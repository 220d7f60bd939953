// SPDX-License-Identifier: GPL-2.0-or-later
// ComputeUqLinear: the whole system: features and virial rows for averages, bars of the stress.
#include "compute_uq_linear.h"

#include "cell_volume.h"
#include "linear/linear_potential.h"
#include "over_ranks.h"

#include "lammps/atom.h"
#include "lammps/error.h"
#include "lammps/force.h"

#include <algorithm>
#include <vector>

using namespace LAMMPS_NS;

// compute snav/atom has xx yy zz yz xz xy, everything else in LAMMPS xx yy zz xy xz yz
static constexpr int BLOCK_OF[6] = {0, 1, 2, 5, 4, 3};

int ComputeUqLinear::n_features() const { return potential->posterior().n_features(); }

int ComputeUqLinear::n_members() const { return potential->posterior().n_members(); }

std::string ComputeUqLinear::model() const { return file + ", sha256 " + potential->sha256().substr(0, 16); }

void ComputeUqLinear::require_features(const char *who, bool virial)
{
  if (virial && virial_id.empty())
    error->all(FLERR, "{}: an average of a pressure needs the keyword virial in compute {}, as virial c_ID[*]; accepted: {}", who, id,
               accepted(Role::VIRIAL));
}

void ComputeUqLinear::total_features(double *sum)
{
  double energy = 0.0;
  const std::vector<double> features = feature_sum(energy);
  std::copy(features.begin(), features.end(), sum);
}

void ComputeUqLinear::virial_rows(bool trace, double *rows)
{
  const std::size_t width = potential->width(), n_features = potential->posterior().n_features();
  const std::vector<double> rows_of_system = virial_sum();
  std::fill(rows, rows + (trace ? 1 : 6) * n_features, 0.0);    // constants of the elements have no derivative
  for (std::size_t a = 0; a < (trace ? 3 : 6); a++)
    for (std::size_t p = 0; p < width; p++) rows[(trace ? 0 : a * n_features) + p] += rows_of_system[a * width + p];
}

void ComputeUqLinear::bars(const double *row, double value, double std_lower_upper[3])
{
  potential->posterior().totals(row, value, std_lower_upper);
}

void ComputeUqLinear::member_shifts(const double *row, double *shifts) { potential->posterior().member_energies(row, 0.0, shifts); }

std::vector<double> ComputeUqLinear::virial_sum()
{
  Compute *source = virial_source();
  invoke(source);
  const std::size_t width = potential->width(), n_own = potential->descriptors().n_descriptors();
  std::vector<double> rows_here(6 * width, 0.0);
  for (int i = 0; i < atom->nlocal; i++)
    for (int type = 1; type <= atom->ntypes; type++)    // descriptors of atoms of each type, moved by this atom
      for (int a = 0; element_of_type[type] >= 0 && a < 6; a++)
        potential->place(element_of_type[type], row_of(source, i) + (6 * (type - 1) + BLOCK_OF[a]) * n_own, rows_here.data() + a * width);
  return lmp_uq::sum_over_ranks(world, rows_here);
}

// bar, xx yy zz xy xz yz
void ComputeUqLinear::stress_std(double bar[6])
{
  const std::vector<double> rows_of_system = virial_sum();
  potential->posterior().row_std(6, rows_of_system.data(), bar);
  for (int a = 0; a < 6; a++) bar[a] *= force->nktv2p / lmp_uq::cell_volume(*domain);
}
