// SPDX-License-Identifier: GPL-2.0-or-later
#include "file/tensor.h"

#include <cmath>
#include <cstdint>
#include <limits>

namespace lmp_uq {
namespace {

template <typename T> std::vector<double> converted(const void *data, std::size_t n)
{
  const T *values = static_cast<const T *>(data);
  std::vector<double> out(n);
  for (std::size_t k = 0; k < n; k++) out[k] = static_cast<double>(values[k]);
  return out;
}

// IEEE 754 binary16: 1 sign bit, 5 bits of exponent, 10 of fraction
double half_to_double(std::uint16_t bits)
{
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  double value = 0.0;
  if (exponent == 31)
    value = fraction ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  else
    value = exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
  return bits & 0x8000 ? -value : value;
}

std::vector<double> converted_halves(const void *data, std::size_t n)
{
  const auto *bits = static_cast<const std::uint16_t *>(data);
  std::vector<double> out(n);
  for (std::size_t k = 0; k < n; k++) out[k] = half_to_double(bits[k]);
  return out;
}

// a byte that is neither 0 nor 1 must not be read as a bool
std::vector<double> converted_bools(const void *data, std::size_t n)
{
  const auto *bytes = static_cast<const std::uint8_t *>(data);
  std::vector<double> out(n);
  for (std::size_t k = 0; k < n; k++) out[k] = bytes[k] != 0;
  return out;
}

}    // namespace

std::size_t Tensor::size() const
{
  std::size_t n = 1;
  for (const std::size_t length : shape) n *= length;
  return n;
}

std::vector<double> Tensor::doubles() const
{
  const std::size_t n = size();
  switch (dtype) {
    case DType::F32: return converted<float>(data, n);
    case DType::F64: return converted<double>(data, n);
    case DType::F16: return converted_halves(data, n);
    case DType::I64: return converted<std::int64_t>(data, n);
    case DType::I32: return converted<std::int32_t>(data, n);
    case DType::I16: return converted<std::int16_t>(data, n);
    case DType::I8: return converted<std::int8_t>(data, n);
    case DType::U64: return converted<std::uint64_t>(data, n);
    case DType::U32: return converted<std::uint32_t>(data, n);
    case DType::U16: return converted<std::uint16_t>(data, n);
    case DType::U8: return converted<std::uint8_t>(data, n);
    case DType::BOOL: return converted_bools(data, n);
  }
  return {};
}

std::size_t item_size(DType dtype)
{
  switch (dtype) {
    case DType::F64:
    case DType::I64:
    case DType::U64: return 8;
    case DType::F32:
    case DType::I32:
    case DType::U32: return 4;
    case DType::F16:
    case DType::I16:
    case DType::U16: return 2;
    case DType::I8:
    case DType::U8:
    case DType::BOOL: return 1;
  }
  return 0;
}

const char *numpy_name(DType dtype)
{
  switch (dtype) {
    case DType::F32: return "float32";
    case DType::F64: return "float64";
    case DType::F16: return "float16";
    case DType::I64: return "int64";
    case DType::I32: return "int32";
    case DType::I16: return "int16";
    case DType::I8: return "int8";
    case DType::U64: return "uint64";
    case DType::U32: return "uint32";
    case DType::U16: return "uint16";
    case DType::U8: return "uint8";
    case DType::BOOL: return "bool";
  }
  return "";
}

std::string shape_text(const std::vector<std::size_t> &shape)
{
  std::string out = "(";
  for (std::size_t k = 0; k < shape.size(); k++) out += (k ? ", " : "") + std::to_string(shape[k]);
  return out + (shape.size() == 1 ? ",)" : ")");
}

bool is_floating(DType dtype) { return dtype == DType::F16 || dtype == DType::F32 || dtype == DType::F64; }

}    // namespace lmp_uq
