// SPDX-License-Identifier: GPL-2.0-or-later
#include "file/container.h"

#include "base/text.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <utility>

namespace lmp_uq {
namespace {

constexpr std::uint64_t MAX_HEADER = 4000000, MAX_SIZE = std::uint64_t(1) << 60;

const std::pair<const char *, DType> DTYPES[] = {
    {"F64", DType::F64}, {"F32", DType::F32}, {"F16", DType::F16}, {"I64", DType::I64}, {"I32", DType::I32}, {"I16", DType::I16},
    {"I8", DType::I8},   {"U64", DType::U64}, {"U32", DType::U32}, {"U16", DType::U16}, {"U8", DType::U8},   {"BOOL", DType::BOOL}};

const DType *find_dtype(const Json &name)
{
  for (const auto &known : DTYPES)
    if (name.is_string() && name.string() == known.first) return &known.second;
  return nullptr;
}

std::string known_dtypes()
{
  std::vector<std::string> names;
  for (const auto &known : DTYPES) names.push_back(known.first);
  return joined(names, ", ");
}

// whole numbers from 0 to 2**60 - 1, at most so many
bool are_sizes(const Json &values, std::size_t most)
{
  if (!values.is_array() || values.array().size() > most) return false;
  const std::string limit = std::to_string(MAX_SIZE);
  return std::all_of(values.array().begin(), values.array().end(), [&](const Json &value) {
    return value.is_integer() && value.digits()[0] != '-' && less_digits(value.digits(), limit);
  });
}

std::vector<std::size_t> to_sizes(const Json &values)
{
  std::vector<std::size_t> out;
  for (const Json &value : values.array()) out.push_back(std::stoull(value.digits()));
  return out;
}

// Product of a shape's lengths that are not 0 and of the item size: what numpy can hold, or that limit + 1
std::uint64_t extent(const Layout::Entry &entry)
{
  constexpr std::uint64_t limit = std::numeric_limits<std::int64_t>::max();
  std::uint64_t product = item_size(entry.dtype);
  for (const std::uint64_t length : entry.shape) {
    if (length > 1 && product > limit / length) return limit + 1;
    product *= std::max<std::uint64_t>(length, 1);
  }
  return product;
}

Layout::Entry read_entry(const std::string &name, const Json &entry)
{
  const std::string tensor = "tensor '" + piece(name) + "' ";
  if (!entry.has("dtype") || !entry.has("shape") || !entry.has("data_offsets"))
    throw std::runtime_error(tensor + "is not described by dtype, shape and data_offsets");
  const Json &dtype = entry.at("dtype"), &shape = entry.at("shape"), &offsets = entry.at("data_offsets");
  const DType *known = find_dtype(dtype);
  if (!known) throw std::runtime_error(tensor + "has dtype " + piece(json_text(dtype)) + "; accepted: " + known_dtypes());
  if (!are_sizes(shape, 8) || !are_sizes(offsets, 2) || offsets.array().size() != 2)
    throw std::runtime_error(tensor + "has shape " + piece(json_text(shape)) + " and data_offsets " + piece(json_text(offsets)));
  const auto span = to_sizes(offsets);
  Layout::Entry out = {name, *known, to_sizes(shape), span[0], span[1] - span[0]};
  const bool empty = std::count(out.shape.begin(), out.shape.end(), 0u) > 0;
  if (span[1] < span[0] || out.n_bytes != (empty ? 0 : extent(out)))
    throw std::runtime_error(tensor + "of shape " + piece(json_text(shape)) + " and dtype " + dtype.string() + " has " +
                             std::to_string(static_cast<std::int64_t>(span[1]) - static_cast<std::int64_t>(span[0])) + " bytes");
  return out;
}

// the table of strings and the entries in the order of the text
void read_table(const std::string &header, Layout &layout)
{
  const Json table = Json::parse(header);
  const bool has_metadata = table.has("__metadata__");
  layout.metadata = has_metadata ? table.at("__metadata__") : Json::parse("{}");
  const bool strings = layout.metadata.is_object() && std::all_of(layout.metadata.values().begin(), layout.metadata.values().end(),
                                                                  [](const Json &value) { return value.is_string(); });
  if (!strings) throw std::runtime_error("__metadata__ is no table of strings");
  for (std::size_t k = 0; k < table.keys().size(); k++)
    if (table.keys()[k] != "__metadata__") layout.entries.push_back(read_entry(table.keys()[k], table.values()[k]));
}

bool begins_with(const std::string &text, const char *start) { return text.rfind(start, 0) == 0; }

// what a file is that is no container
std::string describe(const std::string &start, std::uint64_t length, std::size_t n_bytes)
{
  const bool pickle = start.size() > 1 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5;
  const bool archive = begins_with(start, "PK\x03\x04");
  if (archive || pickle)
    return std::string("the file is ") + (archive ? "a zip archive (as torch.save writes them)" : "a pickle") +
        ", which can run code when it is opened and is never opened here; run `lmp-uq convert` on it once to make a *.uq file";
  const bool opens = start.size() == 9 && start[8] == '{';
  if (opens && n_bytes - 8 < length && length <= MAX_HEADER)
    return "the file is truncated: its header says " + std::to_string(length + 8) + " bytes or more, it has " + std::to_string(n_bytes);
  if (opens && MAX_HEADER < length && length <= n_bytes - 8)
    return "the header has " + std::to_string(length) + " bytes; accepted: at most " + std::to_string(MAX_HEADER);
  return "the file is no model file: found other bytes; accepted: a *.uq file as lmp-uq writes it";
}

}    // namespace

std::size_t header_length(const std::string &where, const std::string &start, std::size_t n_bytes)
{
  std::uint64_t length = 0;
  for (std::size_t k = std::min<std::size_t>(start.size(), 8); k-- > 0;) length = length << 8 | static_cast<unsigned char>(start[k]);
  // a valid length may begin with the bytes of a pickle or a zip archive: asked only when it makes no sense
  const bool opens = start.size() == 9 && start[8] == '{';
  if (!opens || length < 2 || length > MAX_HEADER || length > n_bytes - 8)
    throw std::runtime_error(where + ": " + describe(start, length, n_bytes));
  return length;
}

Layout read_layout(const std::string &where, const std::string &header, std::size_t n_data)
{
  Layout layout;
  layout.data = 8 + header.size();
  try {
    read_table(header, layout);
  } catch (const std::runtime_error &failure) {
    throw std::runtime_error(where + ": damaged, its safetensors header cannot be read: " + failure.what());
  }
  auto &entries = layout.entries;
  std::stable_sort(entries.begin(), entries.end(), [](const auto &a, const auto &b) {
    return a.begin != b.begin ? a.begin < b.begin : a.n_bytes < b.n_bytes;
  });
  std::size_t position = 0;    // the end of an entry, so below 2**60
  for (const auto &entry : entries) {
    if (entry.begin != position)
      throw std::runtime_error(where + ": damaged, tensor '" + piece(entry.name) + "' begins at byte " + std::to_string(entry.begin) +
                               "; accepted: " + std::to_string(position));
    position += entry.n_bytes;
  }
  if (position != n_data)
    throw std::runtime_error(where + ": the file is " + (position > n_data ? "truncated" : "damaged, it goes on after its last tensor") +
                             ": " + std::to_string(n_data) + " data bytes found, " + std::to_string(position) + " expected");
  for (const auto &entry : entries)
    if (extent(entry) > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      throw std::runtime_error(where + ": damaged, tensor '" + piece(entry.name) + "' cannot have shape " + shape_text(entry.shape));
  return layout;
}

}    // namespace lmp_uq
