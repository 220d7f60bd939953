// SPDX-License-Identifier: GPL-2.0-or-later
#include "field_words.h"

#include "lammps/error.h"
#include "lammps/lammps.h"
#include "lammps/utils.h"

#include <cmath>
#include <cstdlib>

using namespace LAMMPS_NS;
using lmp_uq::Field;

static constexpr char ACCEPTED[] = "a number of 0 or more, eV/Angstrom";

// a number of 0 or more, or something below 0
static double threshold_of(const std::string &word)
{
  if (!utils::is_double(word)) return -1.0;
  const double value = std::strtod(word.c_str(), nullptr);
  return std::isfinite(value) ? value : -1.0;
}

double lmp_uq::read_threshold(LAMMPS *lmp, const char *who, const std::string &said, int n_words, char **words, int &at)
{
  if (at >= n_words) lmp->error->all(FLERR, "{}: {} needs a threshold behind it (accepted: {})", who, said, ACCEPTED);
  const double value = threshold_of(words[at]);
  if (!(value >= 0.0)) lmp->error->all(FLERR, "{}: the threshold of {} is {} (accepted: {})", who, said, words[at], ACCEPTED);
  at++;
  return value;
}

Field lmp_uq::read_field(LAMMPS *lmp, const char *who, int n_words, char **words, int &at)
{
  const std::string name = words[at++];
  Field field = {find_field(name)};
  if (field.index < 0) lmp->error->all(FLERR, "Unknown {} field {} (accepted: {})", utils::lowercase(who), name, field_names());
  if (field.index == UQ_ERROR_ABOVE) field.threshold = read_threshold(lmp, who, name, n_words, words, at);
  return field;
}

Field lmp_uq::field_of_fix_pair(LAMMPS *lmp, const std::string &word)
{
  const std::size_t cut = word.find(':');
  Field field = {find_field(word.substr(0, cut))};
  const bool takes_one = field.index == UQ_ERROR_ABOVE;
  if (!takes_one) return cut == std::string::npos ? field : Field();
  if (cut != std::string::npos) field.threshold = threshold_of(word.substr(cut + 1));
  if (cut == std::string::npos || !(field.threshold >= 0.0))
    lmp->error->all(FLERR, "fix pair: the threshold of {} is {} (accepted: error_above:T with T {})", FIELDS[field.index].name,
                    cut == std::string::npos ? "missing" : word.substr(cut + 1), ACCEPTED);
  return field;
}
