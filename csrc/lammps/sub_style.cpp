// SPDX-License-Identifier: GPL-2.0-or-later
#include "sub_style.h"

#include "lammps/error.h"
#include "lammps/force.h"
#include "lammps/lammps.h"
#include "lammps/pair.h"
#include "lammps/utils.h"

#include <algorithm>
#include <cstdlib>

using namespace LAMMPS_NS;
using lmp_uq::SubStyle;

// what a pattern of pair_match matches, one after the other; where there is one, every number means it
static std::vector<Pair *> matches(LAMMPS *lmp, const std::string &word, int exact)
{
  std::vector<Pair *> found;
  for (int n = 1;; n++) {
    Pair *pair = lmp->force->pair_match(word, exact, n);
    if (!pair || std::count(found.begin(), found.end(), pair)) return found;
    found.push_back(pair);
  }
}

std::vector<Pair *> lmp_uq::pairs_named(LAMMPS *lmp, const std::string &name)
{
  if (name.rfind("hybrid", 0) == 0) return {};    // it would match the list itself
  return matches(lmp, name, 1);
}

SubStyle SubStyle::read(LAMMPS *lmp, const char *who, const std::string &word)
{
  const std::size_t colon = word.find(':');
  const std::string digits = colon == std::string::npos ? "1" : word.substr(colon + 1);
  const bool is_number = utils::is_integer(digits) && digits.size() < 9 && std::atoi(digits.c_str()) > 0;
  if (word.empty() || colon == 0 || !is_number)
    lmp->error->all(FLERR, "{}: {} is no sub-style (accepted: a name, or name:n with n of 1 or more)", who, word.empty() ? "an empty word" : word);
  return {word.substr(0, colon), colon == std::string::npos ? 0 : std::atoi(digits.c_str())};
}

Pair *SubStyle::find(LAMMPS *lmp, const char *who) const
{
  const auto found = pairs_named(lmp, name);
  const int n = static_cast<int>(found.size());
  if (n == 0) lmp->error->all(FLERR, "{}: there is no sub-style {} in pair_style {}", who, name, lmp->force->pair_style);
  if (number > n) lmp->error->all(FLERR, "{}: there is no sub-style {}, the pair_style has {} of that name", who, text(), n);
  if (number == 0 && n > 1) lmp->error->all(FLERR, "{}: there are {} sub-styles {} (accepted: {}:1 to {}:{})", who, n, name, name, name, n);
  return found[number ? number - 1 : 0];
}

// The header of pair hybrid is in no wheel. Patterns that match every name but those of hybrid styles, which are no sub-styles.
std::vector<Pair *> lmp_uq::computing_sub_styles(LAMMPS *lmp)
{
  std::vector<Pair *> found = matches(lmp, "^[^h]", 0);
  for (Pair *pair : matches(lmp, "^h[^y]", 0)) found.push_back(pair);
  found.erase(std::remove_if(found.begin(), found.end(), [](const Pair *pair) { return pair->compute_flag == 0; }), found.end());
  return found;
}

std::string lmp_uq::name_of(LAMMPS *lmp, Pair *pair)
{
  const char *name = lmp->force->pair_match_ptr(pair);
  if (!name) return "?";
  const auto same = pairs_named(lmp, name);
  const auto at = std::find(same.begin(), same.end(), pair) - same.begin();
  return same.size() < 2 ? name : std::string(name) + ":" + std::to_string(at + 1);
}
