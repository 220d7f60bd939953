// SPDX-License-Identifier: GPL-2.0-or-later
// The safetensors container around a model file: what stands where. lmp_uq.modelfile.container writes it.
#ifndef LMP_UQ_CONTAINER_H
#define LMP_UQ_CONTAINER_H

#include "base/json.h"
#include "file/tensor.h"

#include <cstddef>
#include <string>
#include <vector>

namespace lmp_uq {

struct Layout {
  struct Entry {
    std::string name;
    DType dtype;
    std::vector<std::size_t> shape;
    std::size_t begin, n_bytes;    // of the data, which begins behind the container's header
  };
  Json metadata;                   // object of strings
  std::vector<Entry> entries;      // in file order, without gaps or overlaps
  std::size_t data;                // byte of the file at which the data begins
};

// How many bytes of JSON stand behind the first eight. std::runtime_error if the file is no container.
// start: at most the first 9 bytes of the file; n_bytes: of the whole file
std::size_t header_length(const std::string &where, const std::string &start, std::size_t n_bytes);

// std::runtime_error if the header of a container cannot be read or does not describe the n_data bytes behind it
Layout read_layout(const std::string &where, const std::string &header, std::size_t n_data);

}    // namespace lmp_uq
#endif
