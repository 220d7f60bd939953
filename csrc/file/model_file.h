// SPDX-License-Identifier: GPL-2.0-or-later
// The model file, *.uq, as specification.h says it: the one reader. Python reads through it, and lets it check what it writes.
#ifndef LMP_UQ_MODEL_FILE_H
#define LMP_UQ_MODEL_FILE_H

#include "file/container.h"
#include "base/json.h"
#include "file/tensor.h"

#include <memory>
#include <string>
#include <vector>

namespace lmp_uq {

class ModelFile {
 public:
  // std::runtime_error: missing, damaged, of another format or version, or its parts contradict each other
  static ModelFile read(const std::string &path);

  struct Bytes {
    std::shared_ptr<unsigned char[]> data;
    std::size_t n = 0;
  };
  // Of a file that can be read and begins as a container does.
  static Bytes bytes(const std::string &path);

  // As `read`, of bytes in memory. where: the file's name for messages. sha256: of the bytes, computed if empty.
  static ModelFile parse(const std::string &where, Bytes bytes, std::string sha256 = "");

  // Refuses what `parse` would refuse of a file that begins with `start`, the container's length and header, and goes on with the tensors.
  static void check(const std::string &where, const std::string &start, const Tensors &tensors);

  const Json &header() const { return header_; }
  const std::string &header_text() const { return header_text_; }    // its JSON
  const Tensors &tensors() const { return tensors_; }               // full names; they live as long as this object
  Tensors section(const std::string &prefix) const;                 // those named prefix/..., by the rest of their names
  const std::string &sha256() const { return sha256_; }

  std::size_t n_bytes() const { return n_bytes_; }                  // of tensors that it holds

  // Frees all tensors but those of one section.
  void keep_only(const std::string &prefix);

 private:
  ModelFile() = default;
  void place(const Layout::Entry &entry, std::size_t data);
  const unsigned char *copy(const void *bytes, std::size_t n_bytes);

  Json header_;
  std::string header_text_;
  Tensors tensors_;
  std::string sha256_;
  std::shared_ptr<unsigned char[]> bytes_;
  std::size_t n_bytes_ = 0;    // of these and of the copies
  std::vector<std::unique_ptr<unsigned char[]>> copies_;    // of arrays that do not begin at a multiple of their item size
};

}    // namespace lmp_uq
#endif
