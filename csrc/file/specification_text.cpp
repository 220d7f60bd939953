// SPDX-License-Identifier: GPL-2.0-or-later
#include "file/specification.h"

#include "base/text.h"

#include <utility>

namespace lmp_uq {
namespace {

std::string fields(const std::vector<std::pair<const char *, std::string>> &named)
{
  std::vector<std::string> items;
  for (const auto &field : named) items.push_back(quoted(field.first) + ": " + field.second);
  return "{" + joined(items, ", ") + "}";
}

std::string text_of(const HeaderEntry &entry)
{
  static const char *const WORDS[] = {"", " or null", "; may be absent", " or null; may be absent"};
  const std::string accepted = (entry.rule ? entry.rule->accepted : "anything") + WORDS[static_cast<int>(entry.presence)];
  return fields({{"key", quoted(entry.key)}, {"accepted", quoted(accepted)}, {"unit", quoted(entry.unit)}, {"meaning", quoted(entry.meaning)}});
}

}    // namespace

std::string specification_text()
{
  std::vector<std::string> blocks, tensors;
  for (const HeaderBlock &block : header_blocks()) {
    std::vector<std::string> entries;
    for (const HeaderEntry &entry : block.entries) entries.push_back(text_of(entry));
    blocks.push_back(fields({{"key", quoted(block.key)}, {"form", quoted(block.form)}, {"entries", "[" + joined(entries, ", ") + "]"}}));
  }
  for (const TensorEntry &tensor : tensor_entries()) {
    const std::string shape = joined({tensor.shape.begin(), tensor.shape.end()}, ", ");
    tensors.push_back(fields({{"name", quoted(tensor.name)}, {"shape", quoted(tensor.shape.empty() ? "any" : "(" + shape + ")")},
                              {"dtype", quoted(tensor.dtype)}, {"unit", quoted(tensor.unit)}, {"meaning", quoted(tensor.meaning)}}));
  }
  return "{\"blocks\": [" + joined(blocks, ",\n") + "],\n\"tensors\": [" + joined(tensors, ",\n") + "]}";
}

}    // namespace lmp_uq
