// SPDX-License-Identifier: GPL-2.0-or-later
// Texts of numbers and of JSON values as Python writes them, whatever the locale: messages of the two readers are the same.
#ifndef LMP_UQ_TEXT_H
#define LMP_UQ_TEXT_H

#include "base/json.h"

#include <string>
#include <vector>

namespace lmp_uq {

bool is_utf8(const std::string &bytes);                          // well-formed: no surrogates, nothing overlong
void append_utf8(std::string &out, unsigned code_point);         // 0 to 0x10FFFF
std::string piece(const std::string &text);    // what a message quotes of a file's content: UTF-8, at most the first 120 code points
std::string printable(const std::string &bytes);                 // UTF-8: bytes that are none as \xHH

double to_double(const std::string &literal);    // of a JSON number; correctly rounded, infinite beyond the range
std::string to_text(double value);               // repr(): the fewest digits that give the value back
std::string python_repr(const std::string &text);
std::string python_repr(const Json &value);
std::string python_tuple(const std::vector<std::string> &items);    // "(2,)", "(2, 3)"
std::string joined(const std::vector<std::string> &items, const char *separator);

// decimal texts of whole numbers >= 0 of any length
std::string sum_of_digits(const std::string &a, const std::string &b);
bool less_digits(const std::string &a, const std::string &b);

}    // namespace lmp_uq
#endif
