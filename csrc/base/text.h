// SPDX-License-Identifier: GPL-2.0-or-later
// Texts of numbers and of JSON values, whatever the locale, and what a message quotes of a file.
#ifndef LMP_UQ_TEXT_H
#define LMP_UQ_TEXT_H

#include "base/json.h"

#include <string>
#include <vector>

namespace lmp_uq {

bool is_utf8(const std::string &bytes);                      // well-formed: no surrogates, nothing overlong
void append_utf8(std::string &out, unsigned code_point);     // 0 to 0x10FFFF
std::string printable(const std::string &bytes);             // UTF-8: bytes that are none as \xHH

// What a message quotes of a file's content, UTF-8: at most the first 120 code points, control characters as \uHHHH.
std::string piece(const std::string &text);

double to_double(const std::string &literal);    // of a JSON number; correctly rounded, infinite beyond the range
std::string to_text(double value);               // the fewest digits that give the value back, with a point or an exponent
std::string quoted(const std::string &text);     // UTF-8 as JSON has it
std::string json_text(const Json &value);        // in one line; to_text of numbers that are not whole, so inf beyond the range
std::string joined(const std::vector<std::string> &items, const char *separator);

bool less_digits(const std::string &a, const std::string &b);    // decimal texts of whole numbers >= 0 of any length

}    // namespace lmp_uq
#endif
