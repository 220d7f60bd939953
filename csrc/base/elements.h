// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_UQ_ELEMENTS_H
#define LMP_UQ_ELEMENTS_H

#include <string>

namespace lmp_uq {

int atomic_number(const std::string &symbol);    // 1 to 118; 0 for what is no chemical symbol
double atomic_weight(const std::string &symbol);    // u; 0 for what is no chemical symbol

}    // namespace lmp_uq
#endif
