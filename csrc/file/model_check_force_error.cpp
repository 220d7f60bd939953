// SPDX-License-Identifier: GPL-2.0-or-later
// The header entry calibration.force_error of version 2, as lmp_uq.calibration.force_error.ForceError.from_dict reads it, with its texts.
#include "base/text.h"
#include "file/model_check_rules.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace lmp_uq {
namespace {

using Texts = std::vector<std::string>;

constexpr std::size_t N_QUANTILES = 101;
// the formula, which the file states: formulas/bars.h
const struct {
  const char *name;
  double value;
  const char *text;
} FORM[] = {{"version", 2, "2"},           {"force_offset", 0.01, "0.01"}, {"grade_offset", 0.05, "0.05"}, {"error_offset", 0.005, "0.005"},
            {"least_bar", 0.01, "0.01"}, {"power", 4, "4"},              {"hops", 2, "2"}};
const char *const NUMBERS[] = {"intercept", "force_slope", "grade_slope", "known_slope", "new_slope", "correction_slope", "spread", "n_blocks"};
const Texts ENTRIES = {"conservative_quantiles", "correction_slope", "force_slope", "grade_slope", "group_means", "intercept",
                       "known_slope",            "levels",           "n_blocks",    "new_slope",   "quantiles",   "spread"};

struct Entry {
  const Json &values;
  const std::string &where;

  [[noreturn]] void refuse(const std::string &text) const { throw std::runtime_error(where + ": force_error: " + text); }

  double number(const Json &value, const std::string &name) const
  {
    if (!is_number(&value)) refuse(name + " holds " + piece(python_repr(value)) + "; accepted: a finite number");
    return value.number();
  }

  std::vector<double> numbers(const std::string &name) const
  {
    const Json &list = values.at(name);
    if (!list.is_array()) refuse(name + " holds " + piece(python_repr(list)) + "; accepted: a list of numbers");
    std::vector<double> out;
    for (const Json &value : list.array()) out.push_back(number(value, name));
    return out;
  }
};

std::string list_of(Texts names)
{
  for (std::string &name : names) name = python_repr(name);
  return "[" + joined(names, ", ") + "]";
}

void check_form(const Entry &entry)
{
  Texts found, accepted;
  for (const auto &form : FORM) {
    const Json *value = entry.values.find(form.name);
    if (value && value->is_number() && value->number() == form.value) continue;
    const std::string name = python_repr(std::string(form.name)) + ": ";
    found.push_back(name + (value ? python_repr(*value) : "None"));
    accepted.push_back(name + form.text);
  }
  if (!found.empty()) entry.refuse("found " + piece("{" + joined(found, ", ") + "}") + "; accepted here: {" + joined(accepted, ", ") + "}");
}

void check_names(const Entry &entry)
{
  Texts names;
  for (const std::string &key : entry.values.keys())
    if (std::none_of(std::begin(FORM), std::end(FORM), [&](const auto &form) { return key == form.name; })) names.push_back(key);
  std::sort(names.begin(), names.end());
  if (names != ENTRIES) entry.refuse("found entries " + piece(list_of(names)) + ", expected " + list_of(ENTRIES));
}

void check_curves(const Entry &entry)
{
  std::vector<double> curves[2];
  const char *const names[] = {"quantiles", "conservative_quantiles"};
  for (int k = 0; k < 2; k++) {
    const std::vector<double> curve = curves[k] = entry.numbers(names[k]);
    if (curve.size() != N_QUANTILES || !std::is_sorted(curve.begin(), curve.end()))
      entry.refuse(std::string(names[k]) + " holds " + std::to_string(curve.size()) + " numbers; accepted: " + std::to_string(N_QUANTILES) +
                   " that do not fall");
  }
  for (std::size_t k = 0; k < N_QUANTILES; k++)
    if (curves[1][k] < curves[0][k]) entry.refuse("a conservative quantile is below the quantile; accepted: none is");
}

void check_levels(const Entry &entry)
{
  const std::vector<double> levels = entry.numbers("levels");
  bool good = !levels.empty();
  double before = 0.0;
  for (const double level : levels) {
    const double percent = 100.0 * level;
    good = good && std::abs(percent - std::nearbyint(percent)) < 1e-9 && percent > before && percent < 100.0;
    before = percent;
  }
  if (good) return;
  Texts texts;
  for (const Json &level : entry.values.at("levels").array()) texts.push_back(python_repr(level));
  entry.refuse("levels=" + piece(python_tuple(texts)) + "; accepted: rising multiples of 0.01 between 0 and 1");
}

}    // namespace

void check_force_error_2(const Json &values, const std::string &where)
{
  const Entry entry = {values, where};
  check_form(entry);
  check_names(entry);
  for (const char *name : NUMBERS) entry.number(values.at(name), name);
  for (const char *name : NUMBERS)
    if (name != NUMBERS[0] && values.at(name).number() < 0.0)
      entry.refuse(std::string(name) + " is " + python_repr(values.at(name)) + "; accepted: 0 or more");
  check_curves(entry);
  check_levels(entry);
  const Json &means = values.at("group_means");
  if (!means.is_object()) entry.refuse("group_means holds " + piece(python_repr(means)) + "; accepted: an object of numbers");
  for (const Json &mean : means.values()) entry.number(mean, "group_means");
}

}    // namespace lmp_uq
