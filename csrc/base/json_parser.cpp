// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/json_parser.h"

#include "base/text.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace lmp_uq {

static constexpr std::size_t MAX_DIGITS = 4300;    // of an integer; Python, which gets the header from here, takes no more

Json JsonParser::parse()
{
  if (!is_utf8(text_)) throw std::runtime_error("it is no UTF-8 text");
  if (text_.compare(0, 3, "\xEF\xBB\xBF") == 0) fail("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0);
  skip_space();
  Json out = value(0);
  skip_space();
  if (position_ != text_.size()) fail("Extra data", position_);
  if (lone_surrogate_) throw std::runtime_error("a text holds half a character (a lone surrogate)");
  return out;
}

void JsonParser::fail(const char *what, std::size_t position) const
{
  std::size_t line = 1, column = 1, character = 0;
  for (std::size_t k = 0; k < position; k++) {
    const auto byte = static_cast<unsigned char>(text_[k]);
    if ((byte & 0xC0) == 0x80) continue;    // not the first byte of a character
    character++;
    column++;
    if (byte != '\n') continue;
    line++;
    column = 1;
  }
  throw std::runtime_error(std::string(what) + ": line " + std::to_string(line) + " column " + std::to_string(column) + " (char " +
                           std::to_string(character) + ")");
}

bool JsonParser::digit_at(std::size_t position) const
{
  return position < text_.size() && text_[position] >= '0' && text_[position] <= '9';
}

bool JsonParser::skip(const char *word)
{
  const std::size_t length = std::strlen(word);
  if (text_.compare(position_, length, word) != 0) return false;
  position_ += length;
  return true;
}

void JsonParser::skip_space()
{
  while (position_ < text_.size() && std::strchr(" \t\n\r", text_[position_]) && text_[position_]) position_++;
}

void JsonParser::skip_digits()
{
  while (digit_at(position_)) position_++;
}

Json JsonParser::value(int depth)
{
  if (at('{') || at('[')) {
    if (depth == Json::MAX_DEPTH) throw std::runtime_error("nested too deeply");
    return at('{') ? object(depth + 1) : array(depth + 1);
  }
  for (const char *name : {"NaN", "Infinity", "-Infinity"})
    if (skip(name)) throw std::runtime_error(std::string(name) + " is not a JSON number");
  Json out;
  if (at('"')) {
    out.kind_ = Json::Kind::String;
    out.text_ = quoted();
  } else if (skip("true") || skip("false")) {
    out.kind_ = Json::Kind::Bool;
    out.number_ = text_[position_ - 2] == 'u';
  } else if (!skip("null")) {
    return number();
  }
  return out;
}

Json JsonParser::object(int depth)
{
  Json out;
  out.kind_ = Json::Kind::Object;
  position_++;
  skip_space();
  while (!at('}') || !out.keys_.empty()) {
    if (!at('"')) fail("Expecting property name enclosed in double quotes", position_);
    out.keys_.push_back(quoted());
    skip_space();
    if (!at(':')) fail("Expecting ':' delimiter", position_);
    position_++;
    skip_space();
    out.items_.push_back(value(depth));
    skip_space();
    if (at('}')) break;
    if (!at(',')) fail("Expecting ',' delimiter", position_);
    position_++;
    skip_space();
  }
  position_++;
  std::vector<const std::string *> sorted;
  for (const auto &key : out.keys_) sorted.push_back(&key);
  std::sort(sorted.begin(), sorted.end(), [](const auto *a, const auto *b) { return *a < *b; });
  const auto same = [](const auto *a, const auto *b) { return *a == *b; };
  if (std::adjacent_find(sorted.begin(), sorted.end(), same) != sorted.end()) throw std::runtime_error("a key is given twice");
  return out;
}

Json JsonParser::array(int depth)
{
  Json out;
  out.kind_ = Json::Kind::Array;
  position_++;
  skip_space();
  while (!at(']') || !out.items_.empty()) {
    out.items_.push_back(value(depth));
    skip_space();
    if (at(']')) break;
    if (!at(',')) fail("Expecting ',' delimiter", position_);
    position_++;
    skip_space();
  }
  position_++;
  return out;
}

// -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?, as much of it as is there
Json JsonParser::number()
{
  const std::size_t begin = position_;
  const std::size_t first = begin + at('-');
  if (!digit_at(first)) fail("Expecting value", begin);
  position_ = first + 1;
  if (text_[first] != '0') skip_digits();
  const std::size_t n_digits = position_ - first;
  Json out;
  out.kind_ = Json::Kind::Integer;
  if (at('.') && digit_at(position_ + 1)) {
    out.kind_ = Json::Kind::Real;
    position_++;
    skip_digits();
  }
  if (at('e') || at('E')) {
    std::size_t exponent = position_ + 1;
    if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) exponent++;
    if (digit_at(exponent)) {
      out.kind_ = Json::Kind::Real;
      position_ = exponent;
      skip_digits();
    }
  }
  const std::string literal = text_.substr(begin, position_ - begin);
  if (out.kind_ == Json::Kind::Real) {
    out.number_ = to_double(literal);
    return out;
  }
  if (n_digits > MAX_DIGITS)
    throw std::runtime_error("a whole number has " + std::to_string(n_digits) + " digits; accepted: at most " + std::to_string(MAX_DIGITS));
  out.text_ = literal == "-0" ? "0" : literal;
  return out;
}

std::string JsonParser::quoted()
{
  const std::size_t begin = position_++;
  std::string out;
  for (;;) {
    const std::size_t start = position_;
    while (position_ < text_.size() && text_[position_] != '"' && text_[position_] != '\\') {
      if (static_cast<unsigned char>(text_[position_]) < 0x20) fail("Invalid control character at", position_);
      position_++;
    }
    out.append(text_, start, position_ - start);
    if (position_ >= text_.size()) fail("Unterminated string starting at", begin);
    if (text_[position_++] == '"') return out;
    escape(out, begin);
  }
}

// at the character behind a backslash
void JsonParser::escape(std::string &out, std::size_t begin)
{
  static const char LETTERS[] = "\"\\/bfnrt", MEANINGS[] = "\"\\/\b\f\n\r\t";
  if (position_ >= text_.size()) fail("Unterminated string starting at", begin);
  if (at('u')) return unicode_escape(out);
  const char *found = text_[position_] ? std::strchr(LETTERS, text_[position_]) : nullptr;
  if (!found) fail("Invalid \\escape", position_ - 1);
  out += MEANINGS[found - LETTERS];
  position_++;
}

// at the u; two escapes that are the halves of one character count as one
void JsonParser::unicode_escape(std::string &out)
{
  unsigned code = four_hex(position_ + 1);
  position_ += 5;
  if (code >= 0xD800 && code < 0xDC00 && text_.compare(position_, 2, "\\u") == 0 && position_ + 6 < text_.size()) {
    const unsigned low = four_hex(position_ + 2);
    if (low >= 0xDC00 && low < 0xE000) {
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      position_ += 6;
    }
  }
  lone_surrogate_ = lone_surrogate_ || (code >= 0xD800 && code < 0xE000);
  append_utf8(out, code);
}

unsigned JsonParser::four_hex(std::size_t first) const
{
  unsigned code = 0;
  for (std::size_t k = first; k < first + 4; k++) {
    // a text ends with a quote behind its last escape
    const char c = k + 1 < text_.size() ? text_[k] : 'x';
    const unsigned digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
    if (digit == 16) fail("Invalid \\uXXXX escape", first - 1);
    code = 16 * code + digit;
  }
  return code;
}

}    // namespace lmp_uq
