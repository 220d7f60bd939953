// SPDX-License-Identifier: GPL-2.0-or-later
#include "head/force_error_1.h"

#include "formulas/bars.h"
#include "base/text.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>

namespace lmp_uq {
namespace {

// model files written before there were several levels
const std::map<std::string, std::string> ONE_LEVEL = {
    {"level", "levels"}, {"factor", "factors"}, {"conservative_factor", "conservative_factors"}, {"floor", "floors"}};
const std::vector<std::string> ENTRIES = {"conservative_factors", "factors",   "floor_exponent", "floors",   "force_exponent", "grade_exponent",
                                          "intercept",            "least_bar", "levels",         "n_blocks", "n_groups"};

std::vector<double> numbers(const Json &value)
{
  if (!value.is_array()) return {value.number()};
  std::vector<double> out;
  for (const Json &item : value.array()) out.push_back(item.number());
  return out;
}

std::string whole(double value)
{
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << std::fixed << std::setprecision(0) << value;
  return out.str();
}

std::string tuple_of(const std::vector<double> &values)
{
  std::vector<std::string> texts;
  for (const double value : values) texts.push_back(to_text(value));
  return "(" + joined(texts, ", ") + (texts.size() == 1 ? ",)" : ")");
}

// a number below the one before it
bool falls(const std::vector<double> &values) { return !std::is_sorted(values.begin(), values.end()); }

}    // namespace

ForceError1::ForceError1(const Json &values)
{
  const bool one_level = values.has("level") && !values.has("levels");
  std::map<std::string, const Json *> entries;
  for (std::size_t k = 0; k < values.keys().size(); k++) {
    const auto renamed = ONE_LEVEL.find(values.keys()[k]);
    entries[one_level && renamed != ONE_LEVEL.end() ? renamed->second : values.keys()[k]] = &values.values()[k];
  }
  std::vector<std::string> found;
  for (const auto &entry : entries) found.push_back(entry.first);
  if (one_level && !entries.count("n_blocks")) found.insert(std::lower_bound(found.begin(), found.end(), "n_blocks"), "n_blocks");
  std::set<std::string> names(found.begin(), found.end());
  names.insert({"floor_exponent", "least_bar"});
  if (std::vector<std::string>(names.begin(), names.end()) != ENTRIES)
    throw std::runtime_error("ForceError: found entries " + piece(joined(found, ", ")) + ", expected " + joined(ENTRIES, ", "));
  const Json *n_blocks = entries.count("n_blocks") ? entries.at("n_blocks") : nullptr;
  if (n_blocks && !n_blocks->is_number())
    throw std::runtime_error("ForceError: n_blocks holds " + piece(json_text(*n_blocks)) + ", which is not a number");
  intercept_ = entries.at("intercept")->number();
  force_exponent_ = entries.at("force_exponent")->number();
  grade_exponent_ = entries.at("grade_exponent")->number();
  if (entries.count("floor_exponent")) floor_exponent_ = entries.at("floor_exponent")->number();
  if (entries.count("least_bar")) least_bar_ = entries.at("least_bar")->number();
  n_groups_ = std::trunc(entries.at("n_groups")->number()) + 0.0;    // not -0
  n_blocks_ = n_blocks ? std::trunc(n_blocks->number()) + 0.0 : 0.0;
  levels_ = numbers(*entries.at("levels"));
  factors_ = numbers(*entries.at("factors"));
  conservative_factors_ = numbers(*entries.at("conservative_factors"));
  floors_ = numbers(*entries.at("floors"));
  check_ranges();
}

void ForceError1::check_ranges() const
{
  bool ordered = n_groups_ >= 1 && n_blocks_ >= 0;
  for (std::size_t k = 0; k < levels_.size(); k++) ordered = ordered && 0 <= factors_[k] && factors_[k] <= conservative_factors_[k];
  if (!ordered)
    throw std::runtime_error("ForceError: needs 0 <= factor <= conservative factor, n_groups >= 1, n_blocks >= 0: " + text());
  if (!is_rising(levels_))
    throw std::runtime_error("ForceError: levels=" + tuple_of(levels_) + ", accepted are rising numbers between 0 and 1");
  if (floor_exponent_ < 0 || least_bar_ < 0)
    throw std::runtime_error("ForceError: floor_exponent and least_bar must not be negative: " + text());
  if (floors_[0] < 0 || falls(factors_) || falls(conservative_factors_) || falls(floors_))
    throw std::runtime_error("ForceError: factors and floors (>= 0) must not fall from a level to the next: " + text());
}

std::string ForceError1::text() const
{
  return "ForceError1(intercept=" + to_text(intercept_) + ", force_exponent=" + to_text(force_exponent_) +
      ", grade_exponent=" + to_text(grade_exponent_) + ", factors=" + tuple_of(factors_) +
      ", conservative_factors=" + tuple_of(conservative_factors_) + ", floors=" + tuple_of(floors_) + ", levels=" + tuple_of(levels_) +
      ", n_groups=" + whole(n_groups_) + ", n_blocks=" + whole(n_blocks_) +
      ", floor_exponent=" + to_text(floor_exponent_) + ", least_bar=" + to_text(least_bar_) + ")";
}

ForceFormula ForceError1::bar(int which, bool conservative) const
{
  const double factor = (conservative ? conservative_factors_ : factors_)[which];
  ForceFormula out;
  out.version = 1;
  out.old = {intercept_, force_exponent_, grade_exponent_, factor, floors_[which], floor_exponent_, least_bar_};
  return out;
}

}    // namespace lmp_uq
