// SPDX-License-Identifier: GPL-2.0-or-later
// JSON as model files use it: RFC 8259, in UTF-8, without repeated keys, NaN, infinities, lone surrogates, or more than MAX_DEPTH arrays and
// objects inside one another.
#ifndef LMP_UQ_JSON_H
#define LMP_UQ_JSON_H

#include <cstddef>
#include <string>
#include <vector>

namespace lmp_uq {

class Json {
 public:
  enum class Kind { Null, Bool, Integer, Real, String, Array, Object };
  static constexpr int MAX_DEPTH = 100;

  // std::runtime_error: what is wrong, line, column, character (counted in code points)
  static Json parse(const std::string &text);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::Null; }
  bool is_integer() const { return kind_ == Kind::Integer; }
  bool is_number() const { return kind_ == Kind::Integer || kind_ == Kind::Real; }    // not of a bool
  bool is_string() const { return kind_ == Kind::String; }
  bool is_array() const { return kind_ == Kind::Array; }
  bool is_object() const { return kind_ == Kind::Object; }

  // The methods below throw std::runtime_error where the value is of another kind, or a key is absent.
  bool boolean() const;
  double number() const;                        // infinite where the text exceeds the range of a double
  long integer() const;                         // error too where it does not fit
  const std::string &digits() const;            // decimal text of an integer of any length, "0" for -0
  const std::string &string() const;            // UTF-8, may hold zero bytes
  const std::vector<Json> &array() const;

  // objects: keys in the order of the text
  bool has(const std::string &key) const { return find(key) != nullptr; }
  const Json &at(const std::string &key) const;
  const Json *find(const std::string &key) const;         // nullptr where it is absent or this is no object
  const std::vector<std::string> &keys() const;
  const std::vector<Json> &values() const;                // beside keys()

 private:
  friend class JsonParser;
  const Json &of_kind(Kind kind) const;

  Kind kind_ = Kind::Null;
  double number_ = 0.0;                   // of a real; 0 or 1 of a bool
  std::string text_;                      // of a string; digits of an integer
  std::vector<std::string> keys_;         // of an object
  std::vector<Json> items_;               // of an array or an object
};

}    // namespace lmp_uq
#endif
