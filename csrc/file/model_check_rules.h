// SPDX-License-Identifier: GPL-2.0-or-later
// What the rules about headers share: tests of values, and the one sentence of a refusal.
#ifndef LMP_UQ_MODEL_CHECK_RULES_H
#define LMP_UQ_MODEL_CHECK_RULES_H

#include "base/json.h"
#include "base/text.h"

#include <string>
#include <utility>
#include <vector>

namespace lmp_uq {

[[noreturn]] void reject(const std::string &where, const std::string &key, const Json *found, const std::string &accepted);
bool is_number(const Json *value);      // JSON holds whole numbers that no float can
bool are_numbers(const Json *values);   // a list of at least one

// Of the header of a linear potential that has passed the other rules: lmp_uq/modelcheck_linear.py.
void check_linear(const Json &header, const std::string &where);

using Shape = std::vector<std::string>;    // decimal lengths: a header may announce more than any integer holds
using NamedShapes = std::vector<std::pair<std::string, Shape>>;

// Of a header whose calibration is an object: lmp_uq/modelfile/check_classifiers.py.
void check_classifiers(const Json &header, const std::string &where);
NamedShapes classifier_shapes(const Json &header);    // of the tensors by full name, of a header that has passed; empty without classifiers

}    // namespace lmp_uq
#endif
