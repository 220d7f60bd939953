// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute_uq_heat.h"

#include "field_words.h"
#include "force_computation.h"
#include "guard.h"
#include "loaded_model.h"
#include "pair_mace_uq.h"

#include "lammps/error.h"
#include "lammps/update.h"

#include <algorithm>
#include <cmath>
#include <string>

using namespace LAMMPS_NS;

static constexpr char WHO[] = "Compute uq/heat";

ComputeUqHeat::ComputeUqHeat(LAMMPS *lmp, int narg, char **arg) : Compute(lmp, narg, arg)
{
  if (igroup != 0) error->all(FLERR, "Compute uq/heat needs group all, found group {}: the flux of a part of the atoms is not defined", arg[1]);
  read_words(narg, arg);
  keep_derivatives();
  vector_flag = 1;
  size_vector = n_values();
  values.resize(size_vector);
  extvector = 1;
  timeflag = 1;
  vector = values.data();
}

void ComputeUqHeat::read_words(int narg, char **arg)
{
  for (int k = 3; k < narg;) {
    if (lmp_uq::read_pair(lmp, WHO, narg, arg, k, number)) continue;
    const std::string word = arg[k], value = k + 1 < narg ? arg[k + 1] : "nothing";
    if (word != "members") error->all(FLERR, "Compute uq/heat: found {} in the place of a keyword (accepted: members, pair)", word);
    if (value != "no" && value != "std" && value != "each")
      error->all(FLERR, "Compute uq/heat: members is followed by {} (accepted: no, std, each)", value);
    members = value == "no" ? NO : value == "std" ? STD : EACH;
    k += 2;
  }
}

int ComputeUqHeat::n_values()
{
  const auto &model = PairMaceUq::find(lmp, WHO, number)->model();
  if (members != NO && model.info.n_force_members == 0)
    error->all(FLERR, "Compute uq/heat: members needs force members, which {} does not hold (see lmp-uq inspect; lmp-uq fit writes them)",
               model.file);
  return members == NO ? 6 : members == STD ? 9 : 6 + 3 * model.info.n_force_members;
}

void ComputeUqHeat::keep_derivatives()
{
  PairMaceUq *pair = PairMaceUq::find(lmp, WHO, number);
  pair->model().require_loaded(lmp, WHO);
  pair->last().keep_derivatives();
  pair->last().keep_images();
}

void ComputeUqHeat::init()
{
  keep_derivatives();
  if (n_values() != size_vector)
    error->all(FLERR, "Compute uq/heat: it has {} values, with the model that is loaded now {}: define it again", size_vector, n_values());
  invoked_flag = INVOKED_NONE;    // commands that move atoms begin with this: what was evaluated before is asked for anew
}

void ComputeUqHeat::forget()
{
  invoked_flag = INVOKED_NONE;
  invoked_vector = -1;
}

void ComputeUqHeat::compute_vector()
{
  invoked_vector = update->ntimestep;
  lmp_uq::guarded(lmp, WHO, [&] {
    PairMaceUq *pair = PairMaceUq::find(lmp, WHO, number);
    const int n_members = members == NO ? 0 : pair->model().info.n_force_members;
    const std::vector<double> flux = pair->last().heat_flux(n_members);
    std::copy_n(flux.begin(), 6, values.begin());
    for (int a = 0; a < 3; a++) {
      double square = 0.0;
      for (int k = 0; k < n_members; k++) {
        const double change = flux[6 + 3 * k + a];
        square += change * change / n_members;
        if (members == EACH) values[6 + 3 * k + a] = flux[a] + change;
      }
      if (members == STD) values[6 + a] = std::sqrt(square);
    }
  });
}
