// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cpu/radial_table.h"

#include <algorithm>
#include <cstring>

namespace lmp_uq {

template <class T> std::size_t radial_row_size(int n_functions) { return static_cast<std::size_t>(n_functions) * n_coefficients<T>() * block<T>(); }

// calls put(offset of the coefficient 0 in a row, block of channels, column) for every column
template <class T, class F> static void for_columns(int n_functions, int n_channels, const F &put)
{
  for (int p = 0; p < n_functions; ++p)
    for (int c = 0; c < n_channels; ++c)
      put(static_cast<std::size_t>(p) * n_coefficients<T>() * block<T>() + c % block<T>(), c / block<T>(), p * n_channels + c);
}

template <class T> void exact_row(const RadialFunctions::Point &point, int n_functions, int n_channels, T *row, std::size_t stride)
{
  const int n_blocks = (n_channels + block<T>() - 1) / block<T>();
  for (int b = 0; b < n_blocks; ++b) std::fill_n(row + b * stride, radial_row_size<T>(n_functions), T(0));
  for_columns<T>(n_functions, n_channels, [&](std::size_t offset, int b, int column) {
    row[b * stride + offset] = static_cast<T>(point.value[column]);
    row[b * stride + offset + block<T>()] = static_cast<T>(point.first[column]);
  });
}

// what stands before the coefficients: spans, then the density's polynomials, each from a multiple of 64 bytes on
static constexpr std::size_t SPANS_BYTES = (sizeof(RadialSpans) + 63) / 64 * 64;
template <class T> static std::size_t density_bytes(std::size_t n_intervals)
{
  return (n_intervals * n_coefficients<T>() * sizeof(double) + 63) / 64 * 64;
}

template <class T> std::size_t RadialTable<T>::n_bytes(int n_intervals, int n_functions, int n_channels)
{
  const int n_blocks = (n_channels + block<T>() - 1) / block<T>();
  return SPANS_BYTES + density_bytes<T>(n_intervals) + n_blocks * n_intervals * radial_row_size<T>(n_functions) * sizeof(T);
}

template <class T> void RadialTable<T>::write(const RadialKnots &knots, int n_functions, int n_channels, unsigned char *memory)
{
  const std::size_t row_size = radial_row_size<T>(n_functions), stride = knots.n_intervals() * row_size;
  std::memcpy(memory, &knots.spans(), sizeof(RadialSpans));
  std::memcpy(memory + SPANS_BYTES, knots.density().data(), knots.density().size() * sizeof(double));
  T *data = reinterpret_cast<T *>(memory + SPANS_BYTES + density_bytes<T>(knots.n_intervals()));
  if (n_channels % block<T>()) std::fill_n(data, (n_channels / block<T>() + 1) * stride, T(0));
  constexpr std::size_t n_powers = n_coefficients<T>();
  for (int p = 0; p < n_functions; ++p) {
    const Matrix of_function = knots.coefficients(p * n_channels, n_channels);    // (interval, power, channel)
    for (std::size_t k = 0; k < of_function.size() / n_channels; ++k) {
      T *row = data + k / n_powers * row_size + (p * n_powers + k % n_powers) * block<T>();
      for (int c = 0; c < n_channels; ++c) row[c / block<T>() * stride + c % block<T>()] = static_cast<T>(of_function[k * n_channels + c]);
    }
  }
}

template <class T> RadialTable<T>::RadialTable(const unsigned char *memory, int n_functions) : row_size_(radial_row_size<T>(n_functions))
{
  std::memcpy(&spans_, memory, sizeof(RadialSpans));
  const int n = n_intervals_of(spans_);
  stride_ = n * row_size_;
  density_ = reinterpret_cast<const double *>(memory + SPANS_BYTES);
  data_ = reinterpret_cast<const T *>(memory + SPANS_BYTES + density_bytes<T>(n));
}

template <class T> typename RadialTable<T>::Place RadialTable<T>::find(double r) const
{
  const RadialPlace place = radial_place(spans_, r);
  return {data_ + place.interval * row_size_, density_ + static_cast<std::size_t>(place.interval) * n_coefficients<T>(), place.t,
          place.per_length};
}

template <class T> Jet RadialTable<T>::density(const Place &place)
{
  double value, slope;
  polynomial<n_coefficients<T>()>([&](int power) { return place.density[power]; }, place.t, value, slope);
  return {value, slope * place.per_length, 0.0};
}

template class RadialTable<float>;
template class RadialTable<double>;
template std::size_t radial_row_size<float>(int);
template std::size_t radial_row_size<double>(int);
template void exact_row<float>(const RadialFunctions::Point &, int, int, float *, std::size_t);
template void exact_row<double>(const RadialFunctions::Point &, int, int, double *, std::size_t);

}    // namespace lmp_uq
