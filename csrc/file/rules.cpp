// SPDX-License-Identifier: GPL-2.0-or-later
#include "file/rules.h"

#include "base/elements.h"
#include "base/text.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace lmp_uq::rules {
namespace {

constexpr int MAX_COUNT = 1000000, MAX_FRAMES = 1000000000;    // of features, members and the like, before anything multiplies them
constexpr std::size_t MAX_LEVELS = 100;

using Texts = std::vector<std::string>;

template <typename Test> bool all_of(const std::vector<Json> &values, Test test) { return std::all_of(values.begin(), values.end(), test); }

// a whole number from `least` to `most`
bool is_count(const Json &value, int least, int most)
{
  return value.is_integer() && value.digits()[0] != '-' && !less_digits(value.digits(), std::to_string(least)) &&
      !less_digits(std::to_string(most), value.digits());
}

bool are_levels(const Json &values) { return are_numbers(values) && values.array().size() <= MAX_LEVELS; }

bool is_text(const Json *value, const char *text) { return value && value->is_string() && value->string() == text; }

Rule kind(const char *accepted, bool (Json::*is_kind)() const)
{
  return {accepted, [is_kind](const Json &value, const Json &) { return (value.*is_kind)(); }};
}

Rule one_of(const Texts &texts)
{
  return {joined(texts, " or "), [texts](const Json &value, const Json &) {
            return value.is_string() && std::find(texts.begin(), texts.end(), value.string()) != texts.end();
          }};
}

Rule count(int least)
{
  return {"a whole number from " + std::to_string(least) + " to " + std::to_string(MAX_COUNT),
          [least](const Json &value, const Json &) { return is_count(value, least, MAX_COUNT); }};
}

bool are_distinct_symbols(const Json &elements, const Json &)
{
  std::set<std::string> seen;
  return elements.is_array() && !elements.array().empty() && all_of(elements.array(), [&](const Json &element) {
           return element.is_string() && atomic_number(element.string()) && seen.insert(element.string()).second;
         });
}

bool are_our_units(const Json &units, const Json &)
{
  return units.is_object() && units.keys().size() == 2 && is_text(units.find("energy"), "eV") && is_text(units.find("length"), "Angstrom");
}

bool are_two_counts(const Json &hidden, const Json &)
{
  return hidden.is_array() && hidden.array().size() == 2 &&
      all_of(hidden.array(), [](const Json &width) { return is_count(width, 1, MAX_COUNT); });
}

bool are_frames_of_roles(const Json &roles, const Json &)
{
  return roles.is_object() && all_of(roles.values(), [](const Json &n) { return is_count(n, 0, MAX_FRAMES); });
}

bool are_sources(const Json &data, const Json &)
{
  return data.is_array() &&
      all_of(data.array(), [](const Json &entry) { return entry.has("path") && entry.has("sha256") && entry.has("n_frames"); });
}

bool is_version(const Json &value, const Json &) { return is_count(value, 1, FORMAT_VERSION); }

}    // namespace

bool is_number(const Json *value) { return value && value->is_number() && std::isfinite(value->number()); }

bool are_numbers(const Json &values)
{
  return values.is_array() && !values.array().empty() && all_of(values.array(), [](const Json &value) { return is_number(&value); });
}

const Rule FORMAT = one_of({"lmp-uq"});
const Rule VERSION = {"a whole number from 1 to " + std::to_string(FORMAT_VERSION), is_version};
const Rule ELEMENTS = {"a list of distinct chemical symbols", are_distinct_symbols};
const Rule UNITS = {"{\"energy\": \"eV\", \"length\": \"Angstrom\"}", are_our_units};
const Rule PRECISION = one_of({"float32", "float64"}), FAMILY = one_of({"mace", "snap", "compute"});
const Rule BIAS = one_of({"none", "constant", "element"});
const Rule TEXT = kind("text", &Json::is_string), OBJECT = kind("an object", &Json::is_object);
const Rule NUMBER = {"a number", [](const Json &value, const Json &) { return is_number(&value); }};
const Rule POSITIVE = {"a positive number", [](const Json &value, const Json &) { return is_number(&value) && value.number() > 0; }};
const Rule FROM_ZERO = count(0), FROM_ONE = count(1);
const Rule ANY_COUNT = {"a whole number from 0 on",
                        [](const Json &value, const Json &) { return value.is_integer() && value.digits()[0] != '-'; }};
const Rule AS_FEATURES = {"P, as backbone.n_features", [](const Json &value, const Json &header) {
                            return value.is_integer() && value.digits() == header.at("backbone").at("n_features").digits();
                          }};
const Rule LEVELS = {"a list of at most " + std::to_string(MAX_LEVELS) + " numbers",
                     [](const Json &values, const Json &) { return are_levels(values); }};
const Rule NUMBERS_OF_LEVELS = {"a list of one number for each level", [](const Json &values, const Json &header) {
                                  return are_numbers(values) &&
                                      values.array().size() == find_path(header, "calibration.force_error.levels")->array().size();
                                }};
const Rule HIDDEN = {"a list of two whole numbers from 1 to " + std::to_string(MAX_COUNT), are_two_counts};
const Rule FRAMES_OF_ROLES = {"an object of role: number of frames, at most " + std::to_string(MAX_FRAMES), are_frames_of_roles};
const Rule SOURCES = {"a list of objects with path, sha256 and n_frames", are_sources};

}    // namespace lmp_uq::rules
