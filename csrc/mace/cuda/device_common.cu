// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cuda/device_common.h"

#include "base/environment.h"

#include <algorithm>

namespace lmp_uq::cuda {

// The functions' tolerance over that of the tables: below the rounding of float32; in float64 far below the tables' own error, so that both
// engines give the same numbers.
template <class T> static constexpr double finer() { return sizeof(T) == 8 ? 0.01 : 0.1; }

static int in_fours(int n) { return (n + 3) / 4 * 4; }

template <class T>
DeviceCommon<T>::DeviceCommon(int n_elements)
    : n_elements_(n_elements), wanted_(environment_word("LMP_UQ_FIRST_LAYER", {"tables", "common"})),
      host_tables_(static_cast<std::size_t>(n_elements) * n_elements), host_pairs_(host_tables_.size())
{
}

// Counted in rows of LANES numbers from the second cache, by benchmarks/gpu_roofline.py: tables have one of every function, coefficient and block
// of channels for each neighbour, of common functions there is one block; each element that neighbours have costs as much as a row for each
// function and block of channels, and one more for its edges. 32 neighbours, whatever a graph has: no step may differ from the last.
template <class T> bool DeviceCommon<T>::pays(int n_species, int n_functions, int n_channels) const
{
  if (n_species > MOST_SPECIES) return false;
  if (!wanted_.empty()) return wanted_ == "common";
  constexpr int neighbours = 32, n = sizeof(T) == 8 ? 2 * LANES : LANES;
  const int rows = neighbours * n_coefficients<T>(), n_blocks = padded(n_channels) / LANES;
  return rows * n / LANES + n_species * n * (n_blocks + 1) < rows * n_functions * n_blocks;
}

// (depth, n_columns) of each degree from columns (depth, degree, n_columns), filled up with zeros; transposed: (n_columns, depth)
template <class T> static std::vector<T> by_degree(const Matrix &columns, int depth, int n_functions, int n_channels, bool transposed)
{
  const std::size_t wide = padded(n_channels), deep = padded(depth);
  std::vector<T> out(n_functions * wide * deep, T(0));
  for (std::size_t k = 0; k < columns.size(); ++k) {
    const std::size_t c = k % n_channels, l = k / n_channels % n_functions, q = k / n_channels / n_functions;
    out[l * wide * deep + (transposed ? c * deep + q : q * wide + c)] = static_cast<T>(columns[k]);
  }
  return out;
}

template <class T>
void DeviceCommon<T>::make(int centre, int source, const std::pair<int, int> &key, const RadialKnots &knots, int n_channels, double tolerance,
                           cudaStream_t stream)
{
  const int at = centre * n_elements_ + source, n_functions = knots.n_columns() / n_channels;
  constexpr std::size_t n_powers = n_coefficients<T>();
  std::unique_ptr<Pair> &pair = made_[key];
  if (!pair) {
    const CommonFunctions common(knots, finer<T>() * tolerance);
    const std::size_t n = std::max(1, common.n()), row_size = padded(static_cast<int>(n)) * n_powers;
    std::vector<T> rows(knots.n_intervals() * row_size, T(0));
    for (std::size_t k = 0; k < common.coefficients().size(); ++k) {
      const std::size_t q = k % n, power = k / n % n_powers, interval = k / n / n_powers;
      rows[interval * row_size + (q / LANES * n_powers + power) * LANES + q % LANES] = static_cast<T>(common.coefficients()[k]);
    }
    auto whole = std::make_unique<Pair>();
    whole->n = static_cast<int>(n);
    whole->spans = knots.spans();
    whole->rows.upload(rows, stream);
    whole->columns.upload(by_degree<T>(common.columns(), whole->n, n_functions, n_channels, false), stream);
    whole->transposed.upload(by_degree<T>(common.columns(), whole->n, n_functions, n_channels, true), stream);
    whole->density.upload(knots.density(), stream);
    require(cudaStreamSynchronize(stream));
    pair = std::move(whole);
    n_bytes_ += pair->rows.bytes() + pair->columns.bytes() + pair->transposed.bytes() + pair->density.bytes();
  }
  host_tables_[at] = {pair->spans, padded(pair->n) * n_powers, pair->rows.data(), pair->density.data()};
  host_pairs_[at] = {in_fours(pair->n), pair->rows.data(), pair->columns.data(), pair->transposed.data()};
}

template <class T> void DeviceCommon<T>::upload(cudaStream_t stream)
{
  tables_.upload(host_tables_, stream);
  pairs_.upload(host_pairs_, stream);
}

template <class T> CommonShape DeviceCommon<T>::shape(const std::vector<int> &elements) const
{
  CommonShape out;
  for (const int z : elements) out.species.element[out.species.n++] = z;
  for (const int centre : elements)
    for (const int source : elements) out.n_blocks = std::max(out.n_blocks, padded(host_pairs_[centre * n_elements_ + source].n) / LANES);
  return out;
}

template <class T> std::size_t DeviceCommon<T>::bytes_of(const RadialKnots &knots, int n_channels, double tolerance)
{
  const std::size_t n = padded(std::max(1, CommonFunctions(knots, finer<T>() * tolerance).n())), of_interval = n_coefficients<T>() * sizeof(double);
  return knots.n_intervals() * (n * n_coefficients<T>() * sizeof(T) + of_interval) + 2 * n * padded(n_channels) * (knots.n_columns() / n_channels) * sizeof(T);
}

template class DeviceCommon<float>;
template class DeviceCommon<double>;

}    // namespace lmp_uq::cuda
