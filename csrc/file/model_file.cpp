// SPDX-License-Identifier: GPL-2.0-or-later
#include "file/model_file.h"

#include "file/model_check.h"
#include "base/sha256.h"
#include "base/text.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace lmp_uq {
namespace {

constexpr char METADATA_KEY[] = "lmp_uq";

[[noreturn]] void refuse(const std::string &path, const std::string &what) { throw std::runtime_error(path + ": " + what); }

struct FileCloser {
  void operator()(std::FILE *file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

// number of bytes of a regular file that holds at least one
std::size_t file_size(const std::string &path)
{
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) refuse(path, "no such file");
    refuse(path, std::string("cannot be looked at: ") + std::strerror(errno));
  }
  if (S_ISDIR(status.st_mode)) refuse(path, "is a folder; accepted: a file");
  if (!S_ISREG(status.st_mode)) refuse(path, "is a pipe or a device; accepted: a regular file");
  if (status.st_size == 0) refuse(path, "the file is empty");
  return static_cast<std::size_t>(status.st_size);
}

void check_machine()
{
  const std::uint16_t one = 1;
  unsigned char first = 0;
  std::memcpy(&first, &one, 1);
  if (!first) throw std::runtime_error("model files are read on little-endian machines only, this one is big-endian");
}

const std::string &header_text_of(const std::string &where, const Layout &layout)
{
  const Json *text = layout.metadata.find(METADATA_KEY);
  if (!text)
    refuse(where, std::string("a safetensors file without the entry '") + METADATA_KEY +
               "'; accepted: a *.uq file as lmp-uq writes it (`lmp-uq convert` makes one from a MACE model)");
  return text->string();
}

// the header, if it and the tensors are as the specification says
Json checked_header(const std::string &where, const std::string &text, const Tensors &tensors)
{
  Json header;
  try {
    header = Json::parse(text);
  } catch (const std::runtime_error &failure) {
    refuse(where, std::string("damaged, its lmp-uq header is no JSON: ") + failure.what());
  }
  check_header(header, where);
  check_tensors(header, tensors, where);
  return header;
}

}    // namespace

ModelFile ModelFile::read(const std::string &path) { return parse(path, bytes(path)); }

ModelFile::Bytes ModelFile::bytes(const std::string &path)
{
  const std::size_t size = file_size(path);
  const File file(std::fopen(path.c_str(), "rb"));
  if (!file) refuse(path, std::string("cannot be read: ") + std::strerror(errno));
  // what is no container is told by its first bytes, before memory is taken for the rest
  char start[9];
  const std::size_t n_start = std::fread(start, 1, sizeof(start), file.get());
  header_length(path, std::string(start, n_start), size);
  std::shared_ptr<unsigned char[]> bytes(new unsigned char[size]);
  std::memcpy(bytes.get(), start, n_start);
  const std::size_t n_rest = std::fread(bytes.get() + n_start, 1, size - n_start, file.get());
  if (std::ferror(file.get())) refuse(path, std::string("cannot be read: ") + std::strerror(errno));
  if (n_start + n_rest != size) refuse(path, "the file is truncated");
  return {std::move(bytes), size};
}

ModelFile ModelFile::parse(const std::string &where, Bytes bytes, std::string sha256)
{
  check_machine();
  const std::size_t n_bytes = bytes.n;
  const auto *text = reinterpret_cast<const char *>(bytes.data.get());
  const std::size_t length = header_length(where, std::string(text, std::min<std::size_t>(n_bytes, 9)), n_bytes);
  const Layout layout = read_layout(where, std::string(text + 8, length), n_bytes - 8 - length);

  ModelFile file;
  file.bytes_ = std::move(bytes.data);
  file.n_bytes_ = n_bytes;
  for (const auto &entry : layout.entries) file.place(entry, layout.data);
  file.header_text_ = header_text_of(where, layout);
  file.header_ = checked_header(where, file.header_text_, file.tensors_);
  file.sha256_ = sha256.empty() ? lmp_uq::sha256(file.bytes_.get(), n_bytes) : std::move(sha256);
  return file;
}

void ModelFile::check(const std::string &where, const std::string &start, const Tensors &tensors)
{
  std::size_t n_data = 0;
  for (const auto &named : tensors) n_data += named.second.size() * item_size(named.second.dtype);
  header_length(where, start.substr(0, 9), start.size() + n_data);
  checked_header(where, header_text_of(where, read_layout(where, start.substr(8), n_data)), tensors);
}

void ModelFile::place(const Layout::Entry &entry, std::size_t data)
{
  const unsigned char *first = bytes_.get() + data + entry.begin;
  if (reinterpret_cast<std::uintptr_t>(first) % item_size(entry.dtype) != 0) first = copy(first, entry.n_bytes);
  tensors_[entry.name] = {entry.dtype, entry.shape, first};
}

const unsigned char *ModelFile::copy(const void *bytes, std::size_t n_bytes)
{
  copies_.emplace_back(new unsigned char[n_bytes + 1]);
  n_bytes_ += n_bytes;
  if (n_bytes) std::memcpy(copies_.back().get(), bytes, n_bytes);
  return copies_.back().get();
}

void ModelFile::keep_only(const std::string &prefix)
{
  const auto old_copies = std::move(copies_);
  copies_.clear();
  n_bytes_ = 0;
  for (auto named = tensors_.begin(); named != tensors_.end();) {
    Tensor &tensor = named->second;
    if (named->first.rfind(prefix + "/", 0) != 0) {
      named = tensors_.erase(named);
      continue;
    }
    tensor.data = copy(tensor.data, tensor.size() * item_size(tensor.dtype));
    ++named;
  }
  bytes_.reset();
}

Tensors ModelFile::section(const std::string &prefix) const
{
  const std::string start = prefix + "/";
  Tensors out;
  for (const auto &named : tensors_)
    if (named.first.rfind(start, 0) == 0) out[named.first.substr(start.size())] = named.second;
  return out;
}

}    // namespace lmp_uq
