// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/environment.h"

#include "base/text.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <locale>
#include <sstream>
#include <stdexcept>

std::string lmp_uq::environment(const char *name)
{
  const char *value = std::getenv(name);
  return value ? value : "";
}

void lmp_uq::refuse_environment(const char *name, const std::string &accepted, const char *where)
{
  throw std::runtime_error(std::string(name) + " is '" + piece(printable(environment(name))) + "'; accepted" + where + ": " + accepted);
}

std::string lmp_uq::environment_word(const char *name, const std::vector<std::string> &accepted, const char *where)
{
  const std::string word = environment(name);
  if (!word.empty() && std::find(accepted.begin(), accepted.end(), word) == accepted.end())
    refuse_environment(name, joined(accepted, ", "), where);
  return word;
}

double lmp_uq::environment_positive(const char *name, double otherwise)
{
  const std::string text = environment(name);
  if (text.empty()) return otherwise;
  std::istringstream in(text);
  in.imbue(std::locale::classic());
  double value = 0.0;
  if (!(in >> value) || !(in >> std::ws).eof() || !std::isfinite(value) || value <= 0.0) refuse_environment(name, "a number above 0");
  return value;
}
