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

// what would move the cursor of a terminal, or end a line of a log
bool is_control(unsigned code) { return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029; }

std::string escaped(const char *form, unsigned code)
{
  char out[16];
  std::snprintf(out, sizeof(out), form, code);
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
    out += length ? bytes.substr(position, length) : escaped("\\x%02x", static_cast<unsigned char>(bytes[position]));
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
  std::string out;
  for (std::size_t position = 0; position < text.size();) {
    if (left-- == 0) return out + "...";
    const Character c = character_at(text, position);
    const std::size_t length = std::max<std::size_t>(c.length, 1);
    out += is_control(c.code) ? escaped("\\u%04x", c.code) : text.substr(position, length);
    position += length;
  }
  return out;
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

std::string quoted(const std::string &text)
{
  std::string out = "\"";
  for (std::size_t position = 0; position < text.size();) {
    const Character c = character_at(text, position);
    const std::size_t length = std::max<std::size_t>(c.length, 1);
    if (c.code == '\\' || c.code == '"') out += '\\';
    out += is_control(c.code) ? escaped("\\u%04x", c.code) : text.substr(position, length);
    position += length;
  }
  return out + "\"";
}

std::string json_text(const Json &value)
{
  std::vector<std::string> items;
  switch (value.kind()) {
    case Json::Kind::Null: return "null";
    case Json::Kind::Bool: return value.boolean() ? "true" : "false";
    case Json::Kind::Integer: return value.digits();
    case Json::Kind::Real: return to_text(value.number());
    case Json::Kind::String: return quoted(value.string());
    case Json::Kind::Array:
      for (const Json &item : value.array()) items.push_back(json_text(item));
      return "[" + joined(items, ", ") + "]";
    case Json::Kind::Object:
      for (std::size_t k = 0; k < value.keys().size(); k++) items.push_back(quoted(value.keys()[k]) + ": " + json_text(value.values()[k]));
      return "{" + joined(items, ", ") + "}";
  }
  return "";
}

std::string joined(const std::vector<std::string> &items, const char *separator)
{
  std::string out;
  for (std::size_t k = 0; k < items.size(); k++) out += (k ? separator : "") + items[k];
  return out;
}

bool less_digits(const std::string &a, const std::string &b) { return a.size() != b.size() ? a.size() < b.size() : a < b; }

}    // namespace lmp_uq
