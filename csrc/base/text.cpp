// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <locale>
#include <sstream>

namespace lmp_uq {
namespace {

// Length of the character at a position and its code point; length 0 where the bytes are not UTF-8.
struct Character {
  std::size_t length;
  unsigned code;
};

Character character_at(const std::string &bytes, std::size_t position)
{
  const auto byte = [&](std::size_t k) -> unsigned { return static_cast<unsigned char>(bytes[position + k]); };
  const unsigned first = byte(0);
  if (first < 0x80) return {1, first};
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || bytes.size() - position < length) return {0, 0};
  unsigned code = first & (0xFFu >> (length + 1));
  for (std::size_t k = 1; k < length; k++) {
    if ((byte(k) & 0xC0) != 0x80) return {0, 0};
    code = code << 6 | (byte(k) & 0x3F);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  if (overlong || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return {0, 0};
  return {length, code};
}

// Controls, separators and format characters; of the rarest ones (unassigned code points) nothing is known here.
bool is_printable(unsigned code)
{
  static const unsigned HIDDEN[][2] = {{0, 0x1F},          {0x7F, 0xA0},       {0xAD, 0xAD},         {0x600, 0x605},     {0x61C, 0x61C},
                                       {0x6DD, 0x6DD},     {0x70F, 0x70F},     {0x1680, 0x1680},     {0x180E, 0x180E},   {0x2000, 0x200F},
                                       {0x2028, 0x202F},   {0x205F, 0x206F},   {0x3000, 0x3000},     {0xD800, 0xF8FF},   {0xFDD0, 0xFDEF},
                                       {0xFEFF, 0xFEFF},   {0xFFF0, 0xFFFB},   {0xFFFE, 0xFFFF},     {0xE0000, 0x10FFFF}};
  for (const auto &range : HIDDEN)
    if (code >= range[0] && code <= range[1]) return false;
  return true;
}

std::string escaped(unsigned code)
{
  char out[16];
  std::snprintf(out, sizeof(out), code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
  return out;
}

std::string printed(double value, int digits)
{
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << std::scientific;
  out.precision(digits - 1);
  out << value;
  return out.str();
}

}    // namespace

bool is_utf8(const std::string &bytes)
{
  for (std::size_t position = 0; position < bytes.size();) {
    const std::size_t length = character_at(bytes, position).length;
    if (!length) return false;
    position += length;
  }
  return true;
}

std::string printable(const std::string &bytes)
{
  std::string out;
  for (std::size_t position = 0; position < bytes.size();) {
    const std::size_t length = character_at(bytes, position).length;
    out += length ? bytes.substr(position, length) : escaped(static_cast<unsigned char>(bytes[position]));
    position += std::max<std::size_t>(length, 1);
  }
  return out;
}

void append_utf8(std::string &out, unsigned code)
{
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  static const unsigned LEADS[] = {0, 0xC0, 0xE0, 0xF0};
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  out += static_cast<char>(LEADS[more] | code >> (6 * more));
  for (int k = more - 1; k >= 0; k--) out += static_cast<char>(0x80 | (code >> (6 * k) & 0x3F));
}

std::string piece(const std::string &text)
{
  std::size_t left = 120;
  for (std::size_t position = 0; position < text.size(); position++)
    if ((static_cast<unsigned char>(text[position]) & 0xC0) != 0x80 && left-- == 0) return text.substr(0, position) + "...";
  return text;
}

double to_double(const std::string &literal)
{
  std::istringstream in(literal);
  in.imbue(std::locale::classic());
  double value = 0.0;
  in >> value;
  // the literal has been looked at before: only its size can be at fault; what is too small is kept
  if (in.fail() && std::abs(value) >= 1.0) return literal[0] == '-' ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  return value;
}

std::string to_text(double value)
{
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string text;
  for (int digits = 1; digits <= 17; digits++) {
    text = printed(value, digits);
    if (to_double(text) == value) break;
  }
  const std::size_t mark = text.find('e');
  const int exponent = std::stoi(text.substr(mark + 1));
  const std::string sign = text[0] == '-' ? "-" : "";
  std::string digits;
  for (const char c : text.substr(0, mark))
    if (c >= '0' && c <= '9') digits += c;
  const int n = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    char power[16];
    std::snprintf(power, sizeof(power), "e%+03d", exponent);
    return sign + digits.substr(0, 1) + (n > 1 ? "." + digits.substr(1) : "") + power;
  }
  if (exponent < 0) return sign + "0." + std::string(-exponent - 1, '0') + digits;
  if (exponent >= n - 1) return sign + digits + std::string(exponent - n + 1, '0') + ".0";
  return sign + digits.substr(0, exponent + 1) + "." + digits.substr(exponent + 1);
}

std::string python_repr(const std::string &text)
{
  const bool single = text.find('\'') == std::string::npos || text.find('"') != std::string::npos;
  const char quote = single ? '\'' : '"';
  std::string out(1, quote);
  for (std::size_t position = 0; position < text.size();) {
    const Character c = character_at(text, position);
    if (!c.length) break;
    if (c.code == '\\' || c.code == static_cast<unsigned char>(quote))
      out += std::string("\\") + text[position];
    else if (c.code == '\n' || c.code == '\r' || c.code == '\t')
      out += c.code == '\n' ? "\\n" : c.code == '\r' ? "\\r" : "\\t";
    else
      out += is_printable(c.code) ? text.substr(position, c.length) : escaped(c.code);
    position += c.length;
  }
  return out + quote;
}

std::string python_repr(const Json &value)
{
  std::vector<std::string> items;
  switch (value.kind()) {
    case Json::Kind::Null: return "None";
    case Json::Kind::Bool: return value.boolean() ? "True" : "False";
    case Json::Kind::Integer: return value.digits();
    case Json::Kind::Real: return to_text(value.number());
    case Json::Kind::String: return python_repr(value.string());
    case Json::Kind::Array:
      for (const Json &item : value.array()) items.push_back(python_repr(item));
      return "[" + joined(items, ", ") + "]";
    case Json::Kind::Object:
      for (std::size_t k = 0; k < value.keys().size(); k++)
        items.push_back(python_repr(value.keys()[k]) + ": " + python_repr(value.values()[k]));
      return "{" + joined(items, ", ") + "}";
  }
  return "";
}

std::string python_tuple(const std::vector<std::string> &items)
{
  return "(" + joined(items, ", ") + (items.size() == 1 ? ",)" : ")");
}

std::string joined(const std::vector<std::string> &items, const char *separator)
{
  std::string out;
  for (std::size_t k = 0; k < items.size(); k++) out += (k ? separator : "") + items[k];
  return out;
}

std::string sum_of_digits(const std::string &a, const std::string &b)
{
  std::string out;
  int carry = 0;
  for (std::size_t k = 1; k <= std::max(a.size(), b.size()) || carry; k++) {
    if (k <= a.size()) carry += a[a.size() - k] - '0';
    if (k <= b.size()) carry += b[b.size() - k] - '0';
    out += static_cast<char>('0' + carry % 10);
    carry /= 10;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

bool less_digits(const std::string &a, const std::string &b) { return a.size() != b.size() ? a.size() < b.size() : a < b; }

}    // namespace lmp_uq
