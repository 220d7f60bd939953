// SPDX-License-Identifier: GPL-2.0-or-later
#include "head/force_error.h"

#include "base/text.h"
#include "head/force_error_1.h"

#include <algorithm>
#include <cmath>
#include <locale>
#include <sstream>
#include <stdexcept>

namespace lmp_uq {
namespace {

std::vector<double> numbers(const Json &values)
{
  std::vector<double> out;
  for (const Json &value : values.array()) out.push_back(value.number());
  return out;
}

class ForceError2 : public ForceError {
 public:
  explicit ForceError2(const Json &values)
      : quantiles_(numbers(values.at("quantiles"))), conservative_quantiles_(numbers(values.at("conservative_quantiles")))
  {
    const auto slope = [&](const char *name) { return values.at(name).number(); };
    scale_ = {slope("intercept"),   slope("force_slope"), slope("grade_slope"),
              slope("known_slope"), slope("new_slope"),   slope("correction_slope")};
    levels_ = numbers(values.at("levels"));
  }

  ForceFormula bar(int which, bool conservative) const override
  {
    ForceFormula out = scaled();
    out.c = curve(conservative)[std::lround(100.0 * levels_[which])];
    return out;
  }

  bool uses_correction() const override { return scale_.correction_slope > 0.0; }
  bool has_quantiles() const override { return true; }
  ForceFormula above(double threshold, bool conservative) const override
  {
    ForceFormula out = scaled();
    out.quantiles = curve(conservative);
    out.threshold = threshold;
    return out;
  }

 private:
  ForceFormula scaled() const
  {
    ForceFormula out;
    out.version = 2;
    out.scale = scale_;
    return out;
  }
  const double *curve(bool conservative) const { return (conservative ? conservative_quantiles_ : quantiles_).data(); }

  ForceScale scale_;
  std::vector<double> quantiles_, conservative_quantiles_;    // (N_QUANTILES) rising
};

}    // namespace

std::unique_ptr<ForceError> ForceError::of(const Json &values)
{
  if (values.has("version")) return std::make_unique<ForceError2>(values);
  return std::make_unique<ForceError1>(values);
}

bool ForceError::has(double level) const { return std::find(levels_.begin(), levels_.end(), level) != levels_.end(); }

int ForceError::position(double level) const
{
  const auto found = std::find(levels_.begin(), levels_.end(), level);
  if (found == levels_.end())
    throw std::runtime_error("force_error: level " + to_text(level) + " was not calibrated; accepted: " + levels_text(levels_));
  return static_cast<int>(found - levels_.begin());
}

ForceFormula ForceError::above(double, bool) const
{
  throw std::runtime_error("error_above: this file's force_error was calibrated before 0.2; accepted: lmp-uq calibrate makes a new one");
}

std::string levels_text(const std::vector<double> &levels)
{
  std::vector<std::string> texts;
  for (const double level : levels) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out << level;
    texts.push_back(out.str());
  }
  return joined(texts, ", ");
}

bool is_rising(const std::vector<double> &levels)
{
  if (levels.empty() || levels.front() <= 0 || levels.back() >= 1) return false;
  for (std::size_t k = 1; k < levels.size(); k++)
    if (levels[k] <= levels[k - 1]) return false;
  return true;
}

}    // namespace lmp_uq
