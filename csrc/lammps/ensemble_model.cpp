// SPDX-License-Identifier: GPL-2.0-or-later
#include "ensemble_model.h"

#include "lammps/error.h"
#include "lammps/lammps.h"
#include "lammps/pair.h"
#include "lammps/utils.h"

#include <algorithm>
#include <sstream>

using namespace LAMMPS_NS;
using lmp_uq::EnsembleModel;

EnsembleModel EnsembleModel::read(LAMMPS *lmp, const char *who, const std::string &weight, const std::string &sum)
{
  EnsembleModel model;
  model.weight = utils::numeric(FLERR, weight, false, lmp);
  if (!(model.weight > 0.0))
    lmp->error->all(FLERR, "{}: the weight of {} is {} (accepted: a number above 0)", who, sum, weight);
  std::stringstream words(sum + "+");
  for (std::string word; std::getline(words, word, '+');) model.parts.push_back(SubStyle::read(lmp, who, word));
  return model;
}

std::string EnsembleModel::text() const
{
  std::string sum;
  for (const auto &part : parts) sum += (sum.empty() ? "" : "+") + part.text();
  return sum;
}

std::vector<Pair *> EnsembleModel::pairs(LAMMPS *lmp, const char *who) const
{
  std::vector<Pair *> found;
  for (const auto &part : parts) {
    found.push_back(part.find(lmp, who));
    if (std::count(found.begin(), found.end(), found.back()) > 1)
      lmp->error->all(FLERR, "{}: model {} has sub-style {} twice (accepted: each once)", who, text(), part.text());
  }
  return found;
}

bool lmp_uq::covers_type(const std::vector<Pair *> &pairs, int type, int n_types)
{
  for (const Pair *pair : pairs)
    for (int other = 1; pair->setflag && other <= n_types; other++)
      if (pair->setflag[std::min(type, other)][std::max(type, other)]) return true;
  return false;
}
