// SPDX-License-Identifier: GPL-2.0-or-later
// The rules of lmp_uq/modelfile/check_classifiers.py: entries calibration.probe and calibration.ordinal, and their tensors.
#include "file/model_check_rules.h"

#include "base/text.h"

#include <algorithm>
#include <limits>

namespace lmp_uq {
namespace {

constexpr long MAX_SIZE = 10000;
constexpr std::size_t MAX_THRESHOLDS = 100;

bool is_given(const Json *entry) { return entry && !entry->is_null(); }

bool is_size(const Json *value)
{
  return value && value->is_integer() && value->digits()[0] != '-' && value->digits() != "0" &&
      !less_digits(std::to_string(MAX_SIZE), value->digits());
}

bool is_positive(const Json *value)
{
  return value && value->is_number() && value->number() > 0 && value->number() <= std::numeric_limits<double>::max();
}

std::string size_text(const char *what) { return std::string(what) + "1 to " + std::to_string(MAX_SIZE); }

void check_probe(const Json &entry, const std::string &key, const std::string &where)
{
  for (const char *name : {"hidden", "width", "heads"})
    if (!is_size(entry.find(name))) reject(where, key + "." + name, entry.find(name), size_text("a whole number from "));
  const Json &heads = entry.at("heads"), &width = entry.at("width");
  if (width.integer() % heads.integer()) reject(where, key + ".heads", &heads, "a divisor of width, " + width.digits());
  if (!is_positive(entry.find("boundary"))) reject(where, key + ".boundary", entry.find("boundary"), "a number above 0 (eV/atom)");
}

bool are_rising(const Json *values)
{
  if (!values || !values->is_array() || values->array().empty() || values->array().size() > MAX_THRESHOLDS) return false;
  const auto &all = values->array();
  if (!std::all_of(all.begin(), all.end(), [](const Json &one) { return is_positive(&one); })) return false;
  for (std::size_t k = 1; k < all.size(); k++)
    if (all[k - 1].number() >= all[k].number()) return false;
  return true;
}

void check_ordinal(const Json &entry, const std::string &key, const std::string &where)
{
  const Json *thresholds = entry.find("thresholds"), *hidden = entry.find("hidden");
  if (!are_rising(thresholds))
    reject(where, key + ".thresholds", thresholds,
           "a list of at most " + std::to_string(MAX_THRESHOLDS) + " rising numbers above 0 (eV/Angstrom)");
  const bool two = hidden && hidden->is_array() && hidden->array().size() == 2;
  if (!two || !is_size(&hidden->array()[0]) || !is_size(&hidden->array()[1]))
    reject(where, key + ".hidden", hidden, size_text("a list of two whole numbers from "));
}

// a dense layer: its weights and biases
void add_dense(NamedShapes &out, const std::string &name, const std::string &length, const std::string &width)
{
  out.push_back({name + "_weight", {length, width}});
  out.push_back({name + "_bias", {length}});
}

NamedShapes probe_shapes(const Json &entry)
{
  const std::string &features = entry.at("n_features").digits(), &hidden = entry.at("hidden").digits(), &width = entry.at("width").digits();
  NamedShapes out = {{"input_mean", {features}}, {"input_scale", {features}}};
  add_dense(out, "encoder_0", hidden, features);
  add_dense(out, "encoder_1", width, hidden);
  for (const char *name : {"query", "key", "value", "output"}) add_dense(out, name, width, width);
  add_dense(out, "classifier_0", width, sum_of_digits(width, width));
  add_dense(out, "classifier_1", width, width);
  add_dense(out, "classifier_2", "1", width);
  for (const std::string name : {"encoder_0", "encoder_1", "attention", "classifier_0", "classifier_1"})
    for (const char *part : {"_gain", "_shift"}) out.push_back({name + part, {name == "encoder_0" ? hidden : width}});
  return out;
}

NamedShapes ordinal_shapes(const Json &entry)
{
  const auto &hidden = entry.at("hidden").array();
  const std::string sizes[] = {sum_of_digits(entry.at("n_features").digits(), "3"), hidden[0].digits(), hidden[1].digits(),
                               std::to_string(entry.at("thresholds").array().size())};
  NamedShapes out = {{"input_mean", {sizes[0]}}, {"input_scale", {sizes[0]}}};
  for (int k = 0; k < 3; k++) {
    out.push_back({"weight_" + std::to_string(k), {sizes[k + 1], sizes[k]}});
    out.push_back({"bias_" + std::to_string(k), {sizes[k + 1]}});
  }
  return out;
}

}    // namespace

void check_classifiers(const Json &header, const std::string &where)
{
  const Json &calibration = header.at("calibration");
  const std::string &features = header.at("backbone").at("n_features").digits();
  for (const std::string name : {"probe", "ordinal"}) {
    const Json *entry = calibration.find(name);
    const std::string key = "calibration." + name;
    if (!is_given(entry)) continue;
    if (!entry->is_object()) reject(where, key, entry, "an object or null");
    const Json *found = entry->find("n_features");
    if (!found || !found->is_integer() || found->digits() != features)
      reject(where, key + ".n_features", found, features + ", as backbone.n_features");
    if (name == "probe") check_probe(*entry, key, where);
    else check_ordinal(*entry, key, where);
  }
  if (is_given(calibration.find("ordinal")) && !is_given(calibration.find("force_error")))
    reject(where, "calibration.force_error", nullptr, "an object, because calibration.ordinal hands over to it where grade > 1");
}

NamedShapes classifier_shapes(const Json &header)
{
  NamedShapes out;
  const Json &calibration = header.at("calibration");
  for (const std::string name : {"probe", "ordinal"}) {
    const Json *entry = calibration.find(name);
    if (!is_given(entry)) continue;
    for (auto &named : name == "probe" ? probe_shapes(*entry) : ordinal_shapes(*entry))
      out.push_back({"calibration/" + name + "/" + named.first, named.second});
  }
  return out;
}

}    // namespace lmp_uq
