// SPDX-License-Identifier: GPL-2.0-or-later
// The specification of the model file, *.uq: each entry of the header and each tensor stands here, once. model_check refuses what does not fit
// these tables, and docs/file_format.md is made of them. A new entry is a line in them. Those of the classifiers and of the
// P-readout stand in classifiers.cpp and p_readout_entries.cpp.
#ifndef LMP_UQ_SPECIFICATION_H
#define LMP_UQ_SPECIFICATION_H

#include "base/json.h"

#include <functional>
#include <string>
#include <vector>

namespace lmp_uq {

constexpr int FORMAT_VERSION = 1;

struct Rule {
  std::string accepted;    // the end of a refusal
  std::function<bool(const Json &value, const Json &header)> fits;
};

enum class Presence { Required, OrNull, OrAbsent, OrNullOrAbsent };

struct HeaderEntry {
  const char *key;      // with dots where it lies deeper in the block; * is every member of an object or a list
  const Rule *rule;     // nullptr: whatever JSON can say
  Presence presence;
  const char *unit, *meaning;    // for the page
};

// One object of the header, in one of its forms.
struct HeaderBlock {
  const char *key;                             // with dots; empty: the header itself
  const char *form;                            // when, for the page; empty: always
  bool (*has_form)(const Json &header);        // nullptr: always; asked only where the object is there
  std::vector<HeaderEntry> entries;
};

struct TensorEntry {
  std::string name;
  std::vector<const char *> shape;             // lengths, as `length` takes them
  const char *dtype;
  bool (*is_there)(const Json &header);        // nullptr: it may be, of any shape and type that fit its meaning
  const char *unit, *meaning;
};

// In this order they are checked, and each entry may rely on those before it.
const std::vector<HeaderBlock> &header_blocks();
const std::vector<TensorEntry> &tensor_entries();
const std::vector<std::string> &tensor_sections();    // "backbone/", ...

// Number behind a symbol of a shape: Z elements, P descriptors, P' = P and bias columns, R modes, K and M members, L levels, ...
// header: has passed the rules of the blocks.
std::size_t length(const std::string &symbol, const Json &header);

// All of it as JSON text: {"blocks": [...], "tensors": [...]}, with the names of the fields above.
std::string specification_text();

bool is_given(const Json *value);                              // there and not null
std::size_t count_at(const Json &header, const std::string &path);    // a whole number of the header; 0 where there is none
const Json *find_path(const Json &value, const std::string &path);    // keys with dots between them; nullptr where there is none

}    // namespace lmp_uq
#endif
