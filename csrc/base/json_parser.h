// SPDX-License-Identifier: GPL-2.0-or-later
// The parser behind Json::parse: recursive descent over the bytes of one text, depth limited.
#ifndef LMP_UQ_JSON_PARSER_H
#define LMP_UQ_JSON_PARSER_H

#include "base/json.h"

namespace lmp_uq {

class JsonParser {
 public:
  explicit JsonParser(const std::string &text) : text_(text) {}
  Json parse();

 private:
  [[noreturn]] void fail(const char *what, std::size_t position) const;
  bool at(char c) const { return position_ < text_.size() && text_[position_] == c; }
  bool digit_at(std::size_t position) const;
  bool skip(const char *word);
  void skip_space();
  void skip_digits();
  Json value(int depth);
  Json object(int depth);
  Json array(int depth);
  Json number();
  std::string quoted();
  void escape(std::string &out, std::size_t begin);
  void unicode_escape(std::string &out);
  unsigned four_hex(std::size_t first) const;

  const std::string &text_;
  std::size_t position_ = 0;
  bool lone_surrogate_ = false;
};

}    // namespace lmp_uq
#endif
