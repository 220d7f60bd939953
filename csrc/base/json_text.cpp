// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/json_text.h"

#include <cstdio>

namespace lmp_uq {

namespace {

std::string quoted(const std::string &text)
{
  std::string out = "\"";
  for (const char c : text) {
    char code[8];
    if (c == '"' || c == '\\') (out += '\\') += c;
    else if (static_cast<unsigned char>(c) >= 0x20) out += c;
    else out.append(code, std::snprintf(code, sizeof(code), "\\u%04x", c));
  }
  return out + "\"";
}

std::string real(double value)
{
  char text[40];
  std::snprintf(text, sizeof(text), "%.17e", value);
  return text;
}

}    // namespace

std::string text_of(const Json &value)
{
  std::string out;
  switch (value.kind()) {
    case Json::Kind::Null: return "null";
    case Json::Kind::Bool: return value.boolean() ? "true" : "false";
    case Json::Kind::Integer: return value.digits();
    case Json::Kind::Real: return real(value.number());
    case Json::Kind::String: return quoted(value.string());
    case Json::Kind::Array:
      for (const Json &item : value.array()) (out += out.empty() ? "" : ",") += text_of(item);
      return "[" + out + "]";
    case Json::Kind::Object:
      for (std::size_t k = 0; k < value.keys().size(); ++k)
        (out += (k ? "," : "") + quoted(value.keys()[k]) + ":") += text_of(value.values()[k]);
      return "{" + out + "}";
  }
  return out;
}

}    // namespace lmp_uq
