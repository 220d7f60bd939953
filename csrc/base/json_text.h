// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_UQ_JSON_TEXT_H
#define LMP_UQ_JSON_TEXT_H

#include "base/json.h"

namespace lmp_uq {

std::string text_of(const Json &value);    // that Json::parse reads as the same value

}    // namespace lmp_uq
#endif
