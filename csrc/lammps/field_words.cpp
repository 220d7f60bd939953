// SPDX-License-Identifier: GPL-2.0-or-later
#include "field_words.h"

#include "lammps/error.h"
#include "lammps/lammps.h"
#include "lammps/utils.h"

#include <cmath>
#include <cstdlib>

using namespace LAMMPS_NS;
using lmp_uq::Field;
using lmp_uq::Threshold;

// how a message says what the threshold of a field may be
static std::string accepted(const Field &field)
{
  return field.info().threshold == Threshold::Needed ? "a number of 0 or more, eV/Angstrom"
                                                     : "a number above 0, eV/Angstrom, for which the classifier was trained";
}

// whether the field may have it; sets it
static bool take_threshold(Field &field, const std::string &word)
{
  if (!utils::is_double(word)) return false;
  field.threshold = std::strtod(word.c_str(), nullptr);
  const bool may_be_zero = field.info().threshold == Threshold::Needed;
  return std::isfinite(field.threshold) && (may_be_zero ? field.threshold >= 0.0 : field.threshold > 0.0);
}

void lmp_uq::read_threshold(LAMMPS *lmp, const char *who, const std::string &said, int n_words, char **words, int &at, Field &field)
{
  const bool optional = field.info().threshold == Threshold::Optional;
  if (field.info().threshold == Threshold::None || (optional && (at >= n_words || !utils::is_double(words[at])))) return;
  if (at >= n_words) lmp->error->all(FLERR, "{}: {} needs a threshold behind it (accepted: {})", who, said, accepted(field));
  if (!take_threshold(field, words[at]))
    lmp->error->all(FLERR, "{}: the threshold of {} is {} (accepted: {})", who, said, words[at], accepted(field));
  at++;
}

Field lmp_uq::read_field(LAMMPS *lmp, const char *who, int n_words, char **words, int &at)
{
  const std::string name = words[at++];
  Field field = {find_field(name)};
  if (field.index < 0) lmp->error->all(FLERR, "Unknown {} field {} (accepted: {})", utils::lowercase(who), name, field_names());
  read_threshold(lmp, who, name, n_words, words, at, field);
  return field;
}

bool lmp_uq::read_pair(LAMMPS *lmp, const char *who, int n_words, char **words, int &at, int &number)
{
  if (std::string(words[at]) != "pair") return false;
  const std::string value = at + 1 < n_words ? words[at + 1] : "nothing";
  number = utils::is_integer(value) && value.size() < 9 ? std::atoi(value.c_str()) : 0;
  if (number < 1) lmp->error->all(FLERR, "{}: pair is followed by {} (accepted: the number of a mace/uq sub-style, 1 or more)", who, value);
  at += 2;
  return true;
}

void lmp_uq::check_limit(LAMMPS *lmp, const char *who, const Field &field, double limit)
{
  if (field.info().threshold != Threshold::None && limit > 1.0)
    lmp->error->all(FLERR, "{}: the limit of {} is {} (accepted: a {}, at most 1)", who, field.text(), limit, field.info().unit);
}

Field lmp_uq::field_of_fix_pair(LAMMPS *lmp, const std::string &word)
{
  const std::size_t cut = word.find(':');
  const bool given = cut != std::string::npos;
  Field field = {find_field(word.substr(0, cut))};
  if (field.index < 0) return field;
  if (field.info().threshold == Threshold::None) return given ? Field() : field;
  if (given ? !take_threshold(field, word.substr(cut + 1)) : field.info().threshold == Threshold::Needed)
    lmp->error->all(FLERR, "fix pair: the threshold of {} is {} (accepted: {}:T with T {})", field.info().name,
                    given ? word.substr(cut + 1) : "missing", field.info().name, accepted(field));
  return field;
}
