// SPDX-License-Identifier: GPL-2.0-or-later
// Rules for the numbers of calibrated bars.
#include "file/rules.h"

#include <algorithm>
#include <cmath>

namespace lmp_uq::rules {
namespace {

constexpr std::size_t N_QUANTILES = 101, MAX_THRESHOLDS = 100;

// a constant of a formula, which the file states
Rule exactly(double number, const char *text)
{
  return {text, [number](const Json &value, const Json &) { return is_number(&value) && value.number() == number; }};
}

bool is_curve(const Json &values, const Json &)
{
  if (!are_numbers(values) || values.array().size() != N_QUANTILES) return false;
  return std::is_sorted(values.array().begin(), values.array().end(), [](const Json &a, const Json &b) { return a.number() < b.number(); });
}

bool are_percents(const Json &levels, const Json &)
{
  if (!are_numbers(levels)) return false;
  double before = 0.0;
  for (const Json &level : levels.array()) {
    const double percent = 100.0 * level.number();
    if (std::abs(percent - std::nearbyint(percent)) >= 1e-9 || percent <= before || percent >= 100.0) return false;
    before = percent;
  }
  return true;
}

bool are_rising_above_zero(const Json &values, const Json &)
{
  if (!are_numbers(values) || values.array().size() > MAX_THRESHOLDS) return false;
  double before = 0.0;
  for (const Json &value : values.array()) {
    if (value.number() <= before) return false;
    before = value.number();
  }
  return true;
}

bool divides_width(const Json &heads, const Json &header)
{
  return FROM_ONE.fits(heads, header) && find_path(header, "calibration.probe.width")->integer() % heads.integer() == 0;
}

bool are_named_numbers(const Json &values, const Json &)
{
  return values.is_object() && std::all_of(values.values().begin(), values.values().end(), [](const Json &one) { return is_number(&one); });
}

}    // namespace

const Rule NOT_NEGATIVE = {"a number, 0 or more", [](const Json &value, const Json &) { return is_number(&value) && value.number() >= 0.0; }};
const Rule CURVE = {"a list of 101 numbers that do not fall", is_curve};
const Rule PERCENTS = {"a list of rising multiples of 0.01 between 0 and 1", are_percents};
const Rule NUMBERS_BY_NAME = {"an object of numbers", are_named_numbers};
const Rule DIVIDES_WIDTH = {"a whole number that divides width", divides_width};
const Rule THRESHOLDS = {"a list of at most " + std::to_string(MAX_THRESHOLDS) + " rising numbers above 0", are_rising_above_zero};
const Rule LIST = {"a list", [](const Json &value, const Json &) { return value.is_array(); }};
const Rule ONE_OR_THREE = {"1 or 3", [](const Json &value, const Json &) {
                             return value.is_integer() && (value.digits() == "1" || value.digits() == "3");
                           }};
const Rule EXACTLY_1 = exactly(1, "1"), EXACTLY_2 = exactly(2, "2"), EXACTLY_4 = exactly(4, "4"), EXACTLY_0_01 = exactly(0.01, "0.01");
const Rule EXACTLY_0_05 = exactly(0.05, "0.05"), EXACTLY_0_005 = exactly(0.005, "0.005"), EXACTLY_0_0005 = exactly(0.0005, "0.0005");
const Rule MEAN_GRADE = {"mean_grade", [](const Json &value, const Json &) { return value.is_string() && value.string() == "mean_grade"; }};

}    // namespace lmp_uq::rules
