// SPDX-License-Identifier: GPL-2.0-or-later
// What an entry of a header may hold, and how a refusal says it; specification.cpp says which entry has which rule.
#ifndef LMP_UQ_RULES_H
#define LMP_UQ_RULES_H

#include "file/specification.h"

namespace lmp_uq::rules {

extern const Rule FORMAT, VERSION, ELEMENTS, UNITS, PRECISION, FAMILY, BIAS;
extern const Rule TEXT, OBJECT, NUMBER, POSITIVE, FROM_ZERO, FROM_ONE, ANY_COUNT, AS_FEATURES;
extern const Rule LEVELS, NUMBERS_OF_LEVELS, HIDDEN, FRAMES_OF_ROLES, SOURCES;
extern const Rule NOT_NEGATIVE, CURVE, PERCENTS, NUMBERS_BY_NAME, ONE_OR_THREE, LIST;    // of calibrated bars
extern const Rule DIVIDES_WIDTH, THRESHOLDS;    // of classifiers
extern const Rule EXACTLY_1, EXACTLY_2, EXACTLY_4, EXACTLY_0_01, EXACTLY_0_05, EXACTLY_0_005, EXACTLY_0_0005, MEAN_GRADE;
extern const Rule TWOJMAX, FLAG, NUMBERS_OF_ELEMENTS, REFERENCE_TEXTS, REFERENCE_STYLE, COMPUTE, COMPUTE_OR_NOTHING, FILES, PAIR;

extern const std::vector<std::string> PAIR_STYLES;    // that a reference potential may name: formulas of LAMMPS itself, no code, no long-range solver

bool is_number(const Json *value);      // JSON holds whole numbers that no float can
bool are_numbers(const Json &values);   // a list of at least one

}    // namespace lmp_uq::rules
#endif
