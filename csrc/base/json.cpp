// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/json.h"

#include "base/json_parser.h"
#include "base/text.h"

#include <cerrno>
#include <cstdlib>
#include <stdexcept>

namespace lmp_uq {

static const char *const KIND_NAMES[] = {"null", "a bool", "an integer", "a number", "a string", "an array", "an object"};

Json Json::parse(const std::string &text) { return JsonParser(text).parse(); }

const Json &Json::of_kind(Kind kind) const
{
  if (kind_ != kind)
    throw std::runtime_error(std::string("JSON: found ") + KIND_NAMES[static_cast<int>(kind_)] + "; accepted: " +
                             KIND_NAMES[static_cast<int>(kind)]);
  return *this;
}

bool Json::boolean() const { return of_kind(Kind::Bool).number_ != 0.0; }

double Json::number() const { return kind_ == Kind::Integer ? to_double(text_) : of_kind(Kind::Real).number_; }

long Json::integer() const
{
  of_kind(Kind::Integer);
  errno = 0;
  const long value = std::strtol(text_.c_str(), nullptr, 10);
  if (errno) throw std::runtime_error("JSON: the integer " + piece(text_) + " is too large");
  return value;
}

const std::string &Json::digits() const { return of_kind(Kind::Integer).text_; }

const std::string &Json::string() const { return of_kind(Kind::String).text_; }

const std::vector<Json> &Json::array() const { return of_kind(Kind::Array).items_; }

const Json *Json::find(const std::string &key) const
{
  for (std::size_t k = 0; k < keys_.size(); k++)
    if (keys_[k] == key) return &items_[k];
  return nullptr;
}

const Json &Json::at(const std::string &key) const
{
  const Json *found = of_kind(Kind::Object).find(key);
  if (!found) throw std::runtime_error("JSON: the object has no key '" + key + "'");
  return *found;
}

const std::vector<std::string> &Json::keys() const { return of_kind(Kind::Object).keys_; }

const std::vector<Json> &Json::values() const { return of_kind(Kind::Object).items_; }

}    // namespace lmp_uq
