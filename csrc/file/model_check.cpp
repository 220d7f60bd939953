// SPDX-License-Identifier: GPL-2.0-or-later
#include "file/model_check.h"

#include "base/text.h"
#include "file/p_readout_entries.h"
#include "file/specification.h"
#include "linear/snap_descriptors.h"

#include <algorithm>
#include <stdexcept>

namespace lmp_uq {
namespace {

// An error that says what a header holds; the last words are what it may hold.
class Refusals {
 public:
  explicit Refusals(const std::string &where) : where_(where) {}

  [[noreturn]] void refuse(const std::string &what) const { throw std::runtime_error(where_ + ": " + what); }

  [[noreturn]] void reject(const std::string &key, const Json *found, const std::string &accepted) const
  {
    refuse("header key '" + piece(key) + "' is " + (found ? piece(json_text(*found)) : "missing") + "; accepted: " + accepted);
  }

 private:
  const std::string &where_;
};

using Keys = std::vector<std::string>;

std::string below(const std::string &block, const std::string &key) { return block.empty() ? key : block + "." + key; }

void check_version(const Json &header, const Refusals &refusals)
{
  static const char *const KINDS[] = {"null", "true or false", "a number", "a number", "a text", "a list", "an object"};
  if (!header.is_object())
    refusals.refuse(std::string("the lmp-uq header is ") + KINDS[static_cast<int>(header.kind())] + "; accepted: a JSON object");
  const Json *version = header.find("format_version");
  if (!version || !version->is_integer() || version->digits()[0] == '-' || !header.has("format")) return;    // left to the rules
  const std::string newest = std::to_string(FORMAT_VERSION);
  if (header.at("format").is_string() && header.at("format").string() == "lmp-uq" && less_digits(newest, version->digits()))
    refusals.refuse("format version " + piece(version->digits()) + " was written by a newer lmp-uq; this one reads up to " + newest +
                    "; upgrade lmp-uq");
}

void check_known(const Json &header, const Refusals &refusals)
{
  Keys known, unknown;
  for (const HeaderEntry &entry : header_blocks().front().entries) known.push_back(entry.key);
  for (const std::string &key : header.keys())
    if (std::find(known.begin(), known.end(), key) == known.end()) unknown.push_back(key);
  std::sort(unknown.begin(), unknown.end());
  if (!unknown.empty()) refusals.refuse("unknown header keys " + piece(joined(unknown, ", ")) + "; accepted: " + joined(known, ", "));
}

class BlockCheck {
 public:
  BlockCheck(const Json &header, const HeaderBlock &block, const Refusals &refusals) : header_(header), block_(block), refusals_(refusals) {}

  void run() const
  {
    const Json *object = find_path(header_, block_.key);
    if (!is_given(object) || (block_.has_form && !block_.has_form(header_))) return;
    Keys missing;
    for (const HeaderEntry &entry : block_.entries)
      if (is_needed(entry) && std::string(entry.key).find('.') == std::string::npos && !object->has(entry.key))
        missing.push_back(below(block_.key, entry.key));
    if (!missing.empty()) refusals_.refuse("header keys are missing: " + joined(missing, ", "));
    for (const HeaderEntry &entry : block_.entries)
      if (entry.rule) check(entry, object, entry.key, block_.key);
  }

 private:
  static bool is_needed(const HeaderEntry &entry) { return entry.presence == Presence::Required || entry.presence == Presence::OrNull; }

  static bool may_be_null(const HeaderEntry &entry)
  {
    return entry.presence == Presence::OrNull || entry.presence == Presence::OrNullOrAbsent;
  }

  // value: that at `shown`; path: what is below it
  void check(const HeaderEntry &entry, const Json *value, const std::string &path, const std::string &shown) const
  {
    if (path.empty()) return check_value(entry, value, shown);
    const std::size_t end = std::min(path.find('.'), path.size());
    const std::string key = path.substr(0, end), rest = path.substr(std::min(end + 1, path.size()));
    if (key != "*") return check(entry, value->find(key), rest, below(shown, key));
    if (value->is_array())
      for (std::size_t k = 0; k < value->array().size(); k++)
        check(entry, &value->array()[k], rest, shown + "[" + std::to_string(k) + "]");
    if (value->is_object())
      for (std::size_t k = 0; k < value->keys().size(); k++) check(entry, &value->values()[k], rest, below(shown, value->keys()[k]));
  }

  void check_value(const HeaderEntry &entry, const Json *value, const std::string &shown) const
  {
    if (value ? (value->is_null() && may_be_null(entry)) : !is_needed(entry)) return;
    if (value && entry.rule->fits(*value, header_)) return;
    std::string accepted = entry.rule->accepted;
    if (accepted.rfind("P,", 0) == 0) accepted = header_.at("backbone").at("n_features").digits() + accepted.substr(1);
    if (*entry.unit) accepted += std::string(" (") + entry.unit + ")";
    refusals_.reject(shown, value, accepted + (may_be_null(entry) ? " or null" : ""));
  }

  const Json &header_;
  const HeaderBlock &block_;
  const Refusals &refusals_;
};

void check_curves(const Json &force_error, const Json &header, const Refusals &refusals)
{
  const auto &curve = force_error.at("quantiles").array(), &wide = force_error.at("conservative_quantiles").array();
  for (std::size_t k = 0; k < curve.size(); k++)
    if (wide[k].number() < curve[k].number())
      refusals.reject("calibration.force_error.conservative_quantiles", &wide[k], "numbers of which none is below its quantile");
  if (force_error.at("correction_slope").number() > 0.0 && !is_given(header.find("posterior")))
    refusals.reject("posterior", &header.at("posterior"), "an object, because calibration.force_error needs its mean correction");
}

void check_p_readout(const Json &header, const Refusals &refusals)
{
  const std::string why = ", because posterior.p_readout ";
  if (!is_given(header.find("grade"))) refusals.reject("grade", &header.at("grade"), "an object" + why + "hands over to POPS by the grade");
  if (header.at("backbone").at("family").string() != "mace")
    refusals.reject("backbone.family", &header.at("backbone").at("family"), "mace" + why + "is of atoms' descriptors");
  for (const char *name : {"n_members", "n_force_members"}) {
    const std::size_t least = count_at(header, std::string("posterior.") + name);
    if (count_at(header, "posterior.p_readout.n_members") < least)
      refusals.reject("posterior.p_readout.n_members", find_path(header, "posterior.p_readout.n_members"),
                      std::to_string(least) + " or more, as posterior." + name);
  }
}

// What one entry demands of another.
void check_relations(const Json &header, const Refusals &refusals)
{
  const Json *force_error = find_path(header, "calibration.force_error");
  if (is_given(force_error) && !is_given(header.find("grade")))
    refusals.reject("grade", &header.at("grade"), "an object, because calibration.force_error is predicted from the grade");
  if (is_given(force_error) && force_error->has("version")) check_curves(*force_error, header, refusals);
  const Json *energy_error = find_path(header, "calibration.energy_error");
  if (is_given(energy_error) && energy_error->has("variable") && !is_given(header.find("grade")))
    refusals.reject("grade", &header.at("grade"), "an object, because calibration.energy_error is predicted from the grade");
  if (is_given(find_path(header, "calibration.quantile_network")) && !is_given(force_error))
    refusals.reject("calibration.force_error", force_error,
                    "an object, because calibration.quantile_network hands over to it where grade > 1");
  if (is_given(find_path(header, "calibration.ordinal")) && !(is_given(force_error) && force_error->has("version")))
    refusals.reject("calibration.force_error", force_error,
                    "an object of version 2, because calibration.ordinal hands over to it where grade > 1");
}

void check_linear(const Json &header, const Refusals &refusals)
{
  const Json &n_features = header.at("backbone").at("n_features"), &architecture = header.at("backbone").at("architecture");
  const std::size_t n_elements = length("Z", header);
  const bool snap = header.at("backbone").at("family").string() == "snap";
  const std::size_t n = snap ? n_elements * SnapDescriptors(architecture, n_elements).n_descriptors() : length("P", header);
  if (n != length("P", header)) refusals.reject("backbone.n_features", &n_features, std::to_string(n) + ", as the architecture gives");
  if (n % n_elements != 0)
    refusals.reject("backbone.n_features", &n_features, "a multiple of " + std::to_string(n_elements) + ", the number of elements");
  const Json *bias = find_path(header, "posterior.bias");
  if (bias && bias->string() != "element")
    refusals.reject("posterior.bias", bias, "element, as a linear potential has a constant for each element");
}

}    // namespace

void check_header(const Json &header, const std::string &where)
{
  const Refusals refusals(where);
  check_version(header, refusals);
  check_known(header, refusals);
  for (const HeaderBlock &block : header_blocks()) BlockCheck(header, block, refusals).run();
  check_relations(header, refusals);
  if (has_p_readout(header)) check_p_readout(header, refusals);
  if (header.at("backbone").at("family").string() != "mace") check_linear(header, refusals);
}

}    // namespace lmp_uq
