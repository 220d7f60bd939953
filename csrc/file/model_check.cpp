// SPDX-License-Identifier: GPL-2.0-or-later
#include "file/model_check.h"

#include "base/elements.h"
#include "file/model_check_rules.h"
#include "base/text.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <stdexcept>

namespace lmp_uq {

void reject(const std::string &where, const std::string &key, const Json *found, const std::string &accepted)
{
  const std::string text = piece(found ? python_repr(*found) : "None");
  throw std::runtime_error(where + ": header key '" + piece(key) + "' is " + text + "; accepted: " + accepted);
}

bool is_number(const Json *value) { return value && value->is_number() && std::isfinite(value->number()); }

bool are_numbers(const Json *values)
{
  return values && values->is_array() && !values->array().empty() &&
      std::all_of(values->array().begin(), values->array().end(), [](const Json &value) { return is_number(&value); });
}

namespace {

using Keys = std::vector<const char *>;

constexpr char FORMAT[] = "lmp-uq";
constexpr int FORMAT_VERSION = 1;
constexpr int MAX_COUNT = 1000000, MAX_FRAMES = 1000000000;    // of features, members and the like, before anything multiplies them
constexpr std::size_t MAX_LEVELS = 100;
const Keys HEADER_KEYS = {"format",   "format_version", "elements", "cutoff",      "units",     "precision",
                          "backbone", "posterior",      "grade",    "calibration", "provenance"};
const Keys PRECISIONS = {"float32", "float64"}, FAMILIES = {"mace", "snap", "compute"}, BIASES = {"none", "constant", "element"};
const std::vector<std::pair<const char *, Keys>> SECTION_KEYS = {
    {"backbone", {"family", "architecture", "n_features", "n_parameters"}},
    {"posterior", {"n_features", "n_modes", "n_members", "bias", "ridge", "leverage_floor", "rows", "counts"}},
    {"grade", {}},
    {"calibration", {}},
    {"provenance", {"command", "versions", "licence", "data", "roles"}}};
const Keys ONE_LEVEL_KEYS = {"intercept", "force_exponent",      "grade_exponent", "n_groups",
                             "factor",    "conservative_factor", "floor",          "level"};
const Keys MORE_LEVELS_KEYS = {"intercept", "force_exponent", "grade_exponent", "n_groups", "n_blocks"};
const Keys GROWING_FLOOR_KEYS = {"floor_exponent", "least_bar"};    // absent from older files
const Keys LEVEL_KEYS = {"levels", "factors", "conservative_factors", "floors"};
const Keys SCALED_ERROR_KEYS = {"factor", "conservative_factor", "level", "n_groups", "n_blocks"};

std::string text_of(const Keys &keys, const char *separator)
{
  return joined(std::vector<std::string>(keys.begin(), keys.end()), separator);
}

bool is_text(const Json &value, const char *text) { return value.is_string() && value.string() == text; }

bool is_one_of(const Json &value, const Keys &texts)
{
  return std::any_of(texts.begin(), texts.end(), [&](const char *text) { return is_text(value, text); });
}

bool is_count(const Json *value, int least = 0)
{
  if (!value || !value->is_integer() || value->digits()[0] == '-') return false;
  return !less_digits(value->digits(), std::to_string(least));
}

bool is_count(const Json *value, int least, int most)
{
  return is_count(value, least) && !less_digits(std::to_string(most), value->digits());
}

std::string count_text(int least) { return "a whole number from " + std::to_string(least) + " to " + std::to_string(MAX_COUNT); }

bool are_levels(const Json *values) { return are_numbers(values) && values->array().size() <= MAX_LEVELS; }

bool is_given(const Json *value) { return value && !value->is_null(); }

void check_version(const Json &header, const std::string &where)
{
  static const char *const TYPES[] = {"NoneType", "bool", "int", "float", "str", "list", "dict"};
  if (!header.is_object())
    throw std::runtime_error(where + ": the lmp-uq header is a " + TYPES[static_cast<int>(header.kind())] + "; accepted: a JSON object");
  const Json *format = header.find("format"), *version = header.find("format_version");
  if (!format || !is_text(*format, FORMAT)) reject(where, "format", format, python_repr(std::string(FORMAT)));
  const std::string newest = std::to_string(FORMAT_VERSION);
  if (!is_count(version, 1)) reject(where, "format_version", version, "a whole number from 1 to " + newest);
  if (less_digits(newest, version->digits()))
    throw std::runtime_error(where + ": format version " + piece(version->digits()) + " was written by a newer lmp-uq; this one reads up to " +
                             newest + "; upgrade lmp-uq");
}

void check_keys(const Json &header, const std::string &where)
{
  std::vector<std::string> unknown = header.keys(), missing;
  const auto is_known = [](const std::string &key) { return std::find(HEADER_KEYS.begin(), HEADER_KEYS.end(), key) != HEADER_KEYS.end(); };
  unknown.erase(std::remove_if(unknown.begin(), unknown.end(), is_known), unknown.end());
  std::sort(unknown.begin(), unknown.end());
  if (!unknown.empty())
    throw std::runtime_error(where + ": unknown header keys " + piece(joined(unknown, ", ")) + "; accepted: " + text_of(HEADER_KEYS, ", "));
  for (const char *key : HEADER_KEYS)
    if (!header.has(key)) missing.push_back(key);
  for (const auto &section : SECTION_KEYS) {
    const Json *content = header.find(section.first);
    const bool nullable = std::strcmp(section.first, "backbone") != 0 && std::strcmp(section.first, "provenance") != 0;
    if (!content || (nullable && content->is_null())) continue;
    if (!content->is_object()) reject(where, section.first, content, nullable ? "an object or null" : "an object");
    for (const char *key : section.second)
      if (!content->has(key)) missing.push_back(std::string(section.first) + "." + key);
  }
  if (!missing.empty()) throw std::runtime_error(where + ": header keys are missing: " + joined(missing, ", "));
}

bool are_distinct_symbols(const Json &elements)
{
  if (!elements.is_array() || elements.array().empty()) return false;
  std::set<std::string> seen;
  for (const Json &element : elements.array())
    if (!element.is_string() || !atomic_number(element.string()) || !seen.insert(element.string()).second) return false;
  return true;
}

bool are_our_units(const Json &units)
{
  return units.is_object() && units.keys().size() == 2 && units.has("energy") && units.has("length") && is_text(units.at("energy"), "eV") &&
      is_text(units.at("length"), "Angstrom");
}

void check_general(const Json &header, const std::string &where)
{
  const Json &elements = header.at("elements"), &cutoff = header.at("cutoff"), &units = header.at("units");
  const Json &precision = header.at("precision");
  if (!are_distinct_symbols(elements)) reject(where, "elements", &elements, "a list of distinct chemical symbols");
  if (!is_number(&cutoff) || cutoff.number() <= 0) reject(where, "cutoff", &cutoff, "a positive number (Angstrom)");
  if (!are_our_units(units)) reject(where, "units", &units, "{'energy': 'eV', 'length': 'Angstrom'}");
  if (!is_one_of(precision, PRECISIONS)) reject(where, "precision", &precision, text_of(PRECISIONS, " or "));
}

void check_backbone(const Json &backbone, const std::string &where)
{
  const Json &family = backbone.at("family"), &architecture = backbone.at("architecture");
  const Json &n_features = backbone.at("n_features"), &n_parameters = backbone.at("n_parameters");
  if (!is_one_of(family, FAMILIES)) reject(where, "backbone.family", &family, text_of(FAMILIES, " or "));
  if (!architecture.is_object()) reject(where, "backbone.architecture", &architecture, "an object");
  if (!is_count(&n_features, 1, MAX_COUNT)) reject(where, "backbone.n_features", &n_features, count_text(1));
  if (!is_count(&n_parameters)) reject(where, "backbone.n_parameters", &n_parameters, "a whole number from 0 on");
}

// n_features of the posterior or of the learned quantile: that of the backbone
void check_features(const Json *found, const std::string &key, const Json &header, const std::string &where)
{
  const std::string &features = header.at("backbone").at("n_features").digits();
  if (!found || !found->is_integer() || found->digits() != features) reject(where, key, found, features + ", as backbone.n_features");
}

void check_posterior(const Json &header, const std::string &where)
{
  const Json &posterior = header.at("posterior");
  check_features(posterior.find("n_features"), "posterior.n_features", header, where);
  for (const char *key : {"n_modes", "n_members", "n_force_members"}) {
    const Json *count = posterior.find(key);
    if (count && !is_count(count, 0, MAX_COUNT)) reject(where, std::string("posterior.") + key, count, count_text(0));
  }
  const Json &bias = posterior.at("bias");
  if (!is_one_of(bias, BIASES)) reject(where, "posterior.bias", &bias, text_of(BIASES, " or "));
}

// files with one level have plain numbers, others lists of one number for each level
void check_force_error(const Json &force_error, const std::string &where)
{
  const bool old = force_error.has("level") || force_error.has("factor") || !force_error.has("levels");
  const std::string start = "calibration.force_error.";
  for (const char *key : old ? ONE_LEVEL_KEYS : MORE_LEVELS_KEYS)
    if (!is_number(force_error.find(key))) reject(where, start + key, force_error.find(key), "a number");
  for (const char *key : GROWING_FLOOR_KEYS)
    if (force_error.has(key) && !is_number(force_error.find(key))) reject(where, start + key, force_error.find(key), "a number");
  if (old) return;
  for (const char *key : LEVEL_KEYS) {
    const Json *values = force_error.find(key);
    if (!are_levels(values) || values->array().size() != force_error.at("levels").array().size())
      reject(where, start + key, values, "a list of one number for each level, at most " + std::to_string(MAX_LEVELS));
  }
}

void check_network(const Json &network, const Json &header, const std::string &where)
{
  if (!is_given(header.at("calibration").find("force_error")))
    reject(where, "calibration.force_error", nullptr, "an object, because calibration.quantile_network hands over to it where grade > 1");
  const std::string start = "calibration.quantile_network.";
  check_features(network.find("n_features"), start + "n_features", header, where);
  const Json *levels = network.find("levels"), *hidden = network.find("hidden");
  if (!are_levels(levels)) reject(where, start + "levels", levels, "a list of at most " + std::to_string(MAX_LEVELS) + " numbers");
  const bool two = hidden && hidden->is_array() && hidden->array().size() == 2;
  if (!two || !is_count(&hidden->array()[0], 1, MAX_COUNT) || !is_count(&hidden->array()[1], 1, MAX_COUNT))
    reject(where, start + "hidden", hidden, "a list of two whole numbers from 1 to " + std::to_string(MAX_COUNT));
}

void check_calibration(const Json &header, const std::string &where)
{
  const Json &calibration = header.at("calibration");
  for (const char *key : {"force_error", "energy_error", "stress_error", "quantile_network"}) {
    const Json *entry = calibration.find(key);
    if (is_given(entry) && !entry->is_object()) reject(where, std::string("calibration.") + key, entry, "an object or null");
  }
  if (is_given(calibration.find("force_error"))) {
    check_force_error(calibration.at("force_error"), where);
    if (header.at("grade").is_null())
      reject(where, "grade", nullptr, "an object, because calibration.force_error is predicted from the grade");
  }
  for (const char *name : {"energy_error", "stress_error"}) {
    const Json *entry = calibration.find(name);
    if (!is_given(entry)) continue;
    for (const char *key : SCALED_ERROR_KEYS)
      if (!is_number(entry->find(key))) reject(where, std::string("calibration.") + name + "." + key, entry->find(key), "a number");
  }
  if (is_given(calibration.find("quantile_network"))) check_network(calibration.at("quantile_network"), header, where);
  check_classifiers(header, where);
}

void check_provenance(const Json &provenance, const std::string &where)
{
  for (const char *key : {"command", "licence"})
    if (!provenance.at(key).is_string()) reject(where, std::string("provenance.") + key, &provenance.at(key), "text");
  for (const char *key : {"versions", "roles"})
    if (!provenance.at(key).is_object()) reject(where, std::string("provenance.") + key, &provenance.at(key), "an object");
  const Json &groups = provenance.at("roles"), &data = provenance.at("data");
  const auto is_table = [](const Json &roles) {
    return roles.is_object() && std::all_of(roles.values().begin(), roles.values().end(), [](const Json &n) { return is_count(&n, 0, MAX_FRAMES); });
  };
  for (std::size_t k = 0; k < groups.keys().size(); k++)
    if (!is_table(groups.values()[k]))
      reject(where, "provenance.roles." + groups.keys()[k], &groups.values()[k],
             "an object of role: number of frames, at most " + std::to_string(MAX_FRAMES));
  const auto is_source = [](const Json &entry) { return entry.has("path") && entry.has("sha256") && entry.has("n_frames"); };
  if (!data.is_array() || !std::all_of(data.array().begin(), data.array().end(), is_source))
    reject(where, "provenance.data", &data, "a list of objects with path, sha256 and n_frames");
}

}    // namespace

void check_header(const Json &header, const std::string &where)
{
  check_version(header, where);
  check_keys(header, where);
  check_general(header, where);
  check_backbone(header.at("backbone"), where);
  if (!header.at("posterior").is_null()) check_posterior(header, where);
  if (!header.at("calibration").is_null()) check_calibration(header, where);
  check_provenance(header.at("provenance"), where);
  if (!is_text(header.at("backbone").at("family"), "mace")) check_linear(header, where);
}

}    // namespace lmp_uq
