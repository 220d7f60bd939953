// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cuda/device_layer.h"

#include <set>

namespace lmp_uq::cuda {

template <class T> static std::vector<T> converted(const std::vector<double> &from) { return {from.begin(), from.end()}; }

template <class T> DeviceSparse<T>::DeviceSparse(const SparseMatrix &m, cudaStream_t stream) : start(m.start, stream), index(m.index, stream)
{
  value.upload(converted<T>(m.value), stream);
  require(cudaStreamSynchronize(stream));
}

template <class T>
DeviceLayer<T>::DeviceLayer(const Weights &weights, int number, double table_tolerance, cudaStream_t stream)
    : model_(weights, number), tolerance_(table_tolerance), couple_(model_.coupling().forward, stream), uncouple_(model_.coupling().reverse, stream),
      elements_(model_.n_elements()), host_tables_(static_cast<std::size_t>(model_.n_elements()) * model_.n_elements()),
      common_(model_.n_elements())
{
  const int n_channels = model_.n_channels();
  const Polynomial p = model_.products().view();
  const auto copy = [&](const int *from, int n) { return DeviceArray<int>(std::vector<int>(from, from + n), stream); };
  const int n_pairs = p.pair_start[p.n_out];
  indices_ = {copy(p.linear_start, p.n_out + 1), copy(p.linear, p.linear_start[p.n_out]), copy(p.pair_start, p.n_out + 1), copy(p.pair, 2 * n_pairs),
              copy(p.third_start, n_pairs + 1), copy(p.third, p.third_start[n_pairs])};
  for (int l = 0; l <= model_.l_max() && number > 0 && !shape().nonlinear; ++l)
    message_.emplace_back(model_.message(l), model_.paths().n_of[l], n_channels, n_channels, stream);
  for (int l = 0; l <= shape().l_out; ++l) linear_.emplace_back(model_.linear(l), 1, n_channels, n_channels, stream);
  for (int l = 0; l <= shape().l_in && number > 0; ++l) up_.emplace_back(model_.up(l), 1, n_channels, model_.n_sent(), stream);
  if (shape().nonlinear) make_gate(stream);
  readout_linear_.upload(model_.readout_linear(), stream);
  readout_gate_.upload(model_.readout_gate(), stream);
  readout_gated_.upload(model_.readout_gated(), stream);
  const BiasedReadout &biased = model_.readout_biased();
  biased_first_.upload(biased.first, stream);
  biased_mid_.upload(biased.mid, stream);
  biased_mid_bias_.upload(biased.mid_bias, stream);
  biased_last_.upload(biased.last, stream);
}

template <class T> void DeviceLayer<T>::make_gate(cudaStream_t stream)
{
  const int n_channels = model_.n_channels(), l_max = model_.l_max(), n_sent = model_.n_sent();
  const auto message = [&](int l, int part) { return DeviceMatrix<T>(model_.gated_message(l, part), model_.paths().n_of[l], n_sent, n_channels, stream); };
  const auto source = [&](int l, int part) { return DeviceMatrix<T>(model_.gated_source(l, part), 1, n_sent, n_channels, stream); };
  for (int l = 0; l <= l_max; ++l) {
    gate_.message.push_back(message(l, 0));
    gate_.mixing.emplace_back(model_.mixing(l), 1, n_channels, n_channels, stream);
    if (l > 0) gate_.message_gates.push_back(message(0, l));
  }
  if (number() == 0) return;
  for (int l = 0; l <= shape().l_in; ++l) gate_.source.push_back(source(l, 0));
  for (int l = 1; l <= l_max; ++l) gate_.source_gates.push_back(source(0, l));
  for (int l = 0; l <= model_.l_skip(); ++l) skip_.emplace_back(model_.skip(l, 0), 1, n_channels, n_channels, stream);
}

template <class T> Polynomial DeviceLayer<T>::polynomial() const
{
  const Polynomial p = model_.products().view();
  return {p.n_in, p.n_out, p.n_coefficients, indices_.linear_start.data(), indices_.linear.data(), indices_.pair_start.data(), indices_.pair.data(),
          indices_.third_start.data(), indices_.third.data()};
}

template <class T> std::size_t DeviceLayer<T>::row_size() const
{
  return static_cast<std::size_t>(table_blocks()) * model_.radial().n_functions() * n_coefficients<T>() * LANES;
}

template <class T> ReadoutWeights DeviceLayer<T>::readout() const
{
  const Architecture &a = model_.architecture();
  return {static_cast<int>(shape().readout), readout_linear_.data(), {a.n_channels, a.n_gate, readout_gate_.data(), readout_gated_.data(), a.gate},
          {a.n_channels, a.n_gate, a.gate, biased_first_.data(), biased_mid_.data(), biased_mid_bias_.data(), biased_last_.data(),
           model_.readout_biased().last_bias}};
}

template <class T> bool DeviceLayer<T>::goes_by_common(std::size_t n_species) const
{
  const RadialFunctions &radial = model_.radial();
  return number() == 0 && tolerance_ != 0.0 && common_.pays(static_cast<int>(n_species), radial.n_functions(), radial.n_channels());
}

template <class T> CommonShape DeviceLayer<T>::common_shape(const std::vector<int> &elements) const
{
  return goes_by_common(elements.size()) ? common_.shape(elements) : CommonShape{};
}

template <class T> void DeviceLayer<T>::make_pair(int centre, int source, bool common, cudaStream_t stream)
{
  if (common)
    common_.make(centre, source, model_.radial().key(centre, source), knots(centre, source), model_.radial().n_channels(), tolerance_, stream);
  else
    make_table(centre, source, stream);
}

template <class T> void DeviceLayer<T>::prepare(const std::vector<int> &elements, cudaStream_t stream)
{
  const bool common = goes_by_common(elements.size());
  for (const int z : elements)
    if (!elements_[z].made) stale_ = true, make_element(z, stream);
  for (const int centre : elements)
    for (const int source : elements)
      if (tolerance_ != 0.0 && !(common ? common_.has(centre, source) : host_tables_[centre * elements_.size() + source].rows != nullptr))
        stale_ = true, make_pair(centre, source, common, stream);
  if (!stale_) return;
  std::vector<const T *> coefficients, skips, sources;
  for (const Element &e : elements_) {
    coefficients.push_back(e.coefficients.data());
    skips.push_back(e.constant_skip.data());
    sources.push_back(e.constant_source.data());
  }
  coefficients_.upload(coefficients, stream);
  constant_skip_.upload(skips, stream);
  constant_source_.upload(sources, stream);
  tables_.upload(host_tables_, stream);
  if (number() == 0) common_.upload(stream);
  require(cudaStreamSynchronize(stream));
  stale_ = false;
}

// (part, C) with padded channels
template <class T> static std::vector<T> rows_of_channels(const Matrix &from, int n_channels)
{
  const std::size_t wide = padded(n_channels);
  std::vector<T> out(from.size() / n_channels * wide);
  for (std::size_t k = 0; k < from.size(); ++k) out[k / n_channels * wide + k % n_channels] = static_cast<T>(from[k]);
  return out;
}

template <class T> void DeviceLayer<T>::make_element(int z, cudaStream_t stream)
{
  Element &out = elements_[z];
  const std::size_t n_channels = model_.n_channels(), n = model_.products().n_coefficients();
  const Matrix coefficients = model_.products().coefficients(z);
  std::vector<T> blocked(n * wide());
  for (std::size_t k = 0; k < n; ++k)
    for (std::size_t c = 0; c < n_channels; ++c)
      blocked[(c / LANES * n + k) * LANES + c % LANES] = static_cast<T>(coefficients[k * n_channels + c]);
  out.coefficients.upload(blocked, stream);
  out.skip.clear();    // of an attempt that failed
  for (int l = 0; l <= model_.l_skip() && number() > 0 && !shape().nonlinear; ++l)
    out.skip.emplace_back(model_.skip(l, z), 1, model_.n_channels(), model_.n_channels(), stream);
  if (number() == 0) out.constant_skip.upload(rows_of_channels<T>(model_.constant_skip(z), model_.n_channels()), stream);
  if (number() == 0 && shape().nonlinear) out.constant_source.upload(rows_of_channels<T>(model_.constant_sources(z), model_.n_channels()), stream);
  require(cudaStreamSynchronize(stream));
  out.made = true;
}

template <class T> std::size_t DeviceLayer<T>::bytes_of(const RadialKnots &knots) const
{
  return knots.n_intervals() * (row_size() * sizeof(T) + n_coefficients<T>() * sizeof(double));
}

template <class T> void DeviceLayer<T>::make_table(int centre, int source, cudaStream_t stream)
{
  const std::pair<int, int> key = model_.radial().key(centre, source);
  std::unique_ptr<Table> &table = made_[key];
  if (!table) {
    const RadialKnots made = knots(centre, source);
    const int n_channels = model_.radial().n_channels(), n_functions = model_.radial().n_functions();
    constexpr std::size_t n_powers = n_coefficients<T>();
    std::vector<T> rows(made.n_intervals() * row_size());
    for (int p = 0; p < n_functions; ++p) {
      const Matrix of_function = made.coefficients(p * n_channels, n_channels);    // (interval, power, channel)
      for (std::size_t k = 0; k < of_function.size(); ++k) {
        const std::size_t c = k % n_channels, power = k / n_channels % n_powers, interval = k / n_channels / n_powers;
        rows[interval * row_size() + ((c / LANES * n_functions + p) * n_powers + power) * LANES + c % LANES] = static_cast<T>(of_function[k]);
      }
    }
    auto whole = std::make_unique<Table>();
    whole->spans = made.spans();
    whole->rows.upload(rows, stream);
    whole->density.upload(made.density(), stream);
    require(cudaStreamSynchronize(stream));
    table = std::move(whole);
    table_bytes_ += bytes_of(made);
  }
  host_tables_[centre * elements_.size() + source] = {table->spans, row_size(), table->rows.data(), table->density.data()};
}

template <class T> OwnRows<T> DeviceLayer<T>::own_rows(int n_edges, const std::vector<Uncovered> &of, cudaStream_t stream) const
{
  OwnRows<T> out;
  if (of.empty()) return out;
  const RadialFunctions &radial = model_.radial();
  const int n_channels = radial.n_channels();
  std::vector<int> of_edge(n_edges, -1);
  std::vector<T> rows(of.size() * row_size(), T(0));
  std::vector<double> density;
  for (std::size_t n = 0; n < of.size(); ++n) {
    const RadialFunctions::Point point = radial.at(of[n].length, of[n].centre, of[n].source);
    of_edge[of[n].edge] = static_cast<int>(n);
    density.insert(density.end(), {point.density.value, point.density.first});
    for (int k = 0; k < radial.n_columns(); ++k) {
      const std::size_t c = k % n_channels;
      T *to = rows.data() + n * row_size() + (c / LANES * radial.n_functions() + k / n_channels) * n_coefficients<T>() * LANES + c % LANES;
      to[0] = static_cast<T>(point.value[k]);
      to[LANES] = static_cast<T>(point.first[k]);
    }
  }
  out.of_edge.upload(of_edge, stream);
  out.rows.upload(rows, stream);
  out.density.upload(density, stream);
  return out;
}

// the pairs differ little: a sample stands for all
template <class T> double DeviceLayer<T>::table_bytes_of(const std::vector<int> &elements) const
{
  if (tolerance_ == 0.0 || elements.empty()) return 0.0;
  std::set<std::pair<int, int>> keys;
  for (int centre : elements)
    for (int source : elements) keys.insert(model_.radial().key(centre, source));
  const RadialKnots sample = knots(elements.front(), elements.back());
  const bool common = goes_by_common(elements.size());
  return static_cast<double>(keys.size()) * (common ? DeviceCommon<T>::bytes_of(sample, model_.radial().n_channels(), tolerance_) : bytes_of(sample));
}

template <class T> std::size_t DeviceLayer<T>::n_bytes() const
{
  std::size_t n = table_bytes();
  const auto add = [&](const std::vector<DeviceMatrix<T>> &matrices) {
    for (const DeviceMatrix<T> &m : matrices) n += m.n_bytes();
  };
  for (const auto *matrices : {&message_, &linear_, &up_, &skip_, &gate_.message, &gate_.source, &gate_.message_gates, &gate_.source_gates, &gate_.mixing})
    add(*matrices);
  for (const Element &e : elements_) {
    n += e.coefficients.bytes() + e.constant_skip.bytes() + e.constant_source.bytes();
    add(e.skip);
  }
  return n;
}

template struct DeviceSparse<float>;
template struct DeviceSparse<double>;
template class DeviceLayer<float>;
template class DeviceLayer<double>;

}    // namespace lmp_uq::cuda
