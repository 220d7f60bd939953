// SPDX-License-Identifier: GPL-2.0-or-later
// A named array of a model file: a view, the bytes belong to the file.
#ifndef LMP_UQ_TENSOR_H
#define LMP_UQ_TENSOR_H

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace lmp_uq {

enum class DType { F32, F64, I32, I64, U64, BOOL, U8, F16, I16, I8, U32, U16 };

struct Tensor {
  DType dtype;
  std::vector<std::size_t> shape;
  const void *data;    // C order, little-endian, at a multiple of the item size

  std::size_t size() const;               // number of entries
  std::vector<double> doubles() const;    // copied and converted; a boolean is 0 or 1
};

using Tensors = std::map<std::string, Tensor>;    // iterated in the order of the names' bytes

std::size_t item_size(DType dtype);           // bytes
const char *numpy_name(DType dtype);          // "float64", as numpy prints a dtype
std::string shape_text(const std::vector<std::size_t> &shape);    // "(2,)", "(2, 3)", as numpy prints it
bool is_floating(DType dtype);                // F16, F32, F64

}    // namespace lmp_uq
#endif
