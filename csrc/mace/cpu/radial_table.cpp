// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cpu/radial_table.h"

#include <algorithm>

namespace lmp_uq {

template <class T> std::size_t radial_row_size(int n_functions) { return static_cast<std::size_t>(n_functions) * N_COEFFICIENTS * block<T>(); }

// calls put(offset of the coefficient 0 in a row, block of channels, column) for every column
template <class T, class F> static void for_columns(int n_functions, int n_channels, const F &put)
{
  for (int p = 0; p < n_functions; ++p)
    for (int c = 0; c < n_channels; ++c)
      put(static_cast<std::size_t>(p) * N_COEFFICIENTS * block<T>() + c % block<T>(), c / block<T>(), p * n_channels + c);
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

template <class T>
RadialTable<T>::RadialTable(const RadialKnots &knots, int n_functions, int n_channels)
    : spans_(knots.spans()), row_size_(radial_row_size<T>(n_functions)), stride_(knots.n_intervals() * row_size_)
{
  data_.zero((n_channels + block<T>() - 1) / block<T>() * stride_);
  density_.resize(static_cast<std::size_t>(knots.n_intervals()) * N_COEFFICIENTS);
  knots.for_intervals([&](std::size_t interval, const auto &coefficients) {
    for_columns<T>(n_functions, n_channels, [&](std::size_t offset, int b, int column) {
      double c[N_COEFFICIENTS];
      coefficients(column, c);
      T *row = data_.data() + b * stride_ + interval * row_size_ + offset;
      for (int power = 0; power < N_COEFFICIENTS; ++power) row[power * block<T>()] = static_cast<T>(c[power]);
    });
    coefficients(-1, density_.data() + interval * N_COEFFICIENTS);
  });
}

template <class T> typename RadialTable<T>::Place RadialTable<T>::find(double r) const
{
  const RadialPlace place = radial_place(spans_, r);
  return {data_.data() + place.interval * row_size_, density_.data() + static_cast<std::size_t>(place.interval) * N_COEFFICIENTS, place.t,
          place.per_length};
}

template <class T> Jet RadialTable<T>::density(const Place &place)
{
  double value, slope;
  polynomial([&](int power) { return place.density[power]; }, place.t, value, slope);
  return {value, slope * place.per_length, 0.0};
}

template class RadialTable<float>;
template class RadialTable<double>;
template std::size_t radial_row_size<float>(int);
template std::size_t radial_row_size<double>(int);
template void exact_row<float>(const RadialFunctions::Point &, int, int, float *, std::size_t);
template void exact_row<double>(const RadialFunctions::Point &, int, int, double *, std::size_t);

}    // namespace lmp_uq
