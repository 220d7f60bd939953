// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/radial.h"

#include "formulas/activations.h"
#include "mace/cpu/kernels.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace lmp_uq {

namespace {

constexpr double LOWEST = 0.5, LOWEST_OF_CONTACT = 0.4;    // Angstrom; part of the sum of covalent radii

// rows (n) times matrix (n, m)
std::vector<double> times(const std::vector<double> &row, const Matrix &matrix, std::size_t m)
{
  std::vector<double> out(m, 0.0);
  for (std::size_t k = 0; k < row.size(); ++k) {
    const double factor = row[k];
    const double *from = matrix.data() + k * m;
    for (std::size_t c = 0; c < m; ++c) out[c] += factor * from[c];
  }
  return out;
}

}    // namespace

RadialFunctions::RadialFunctions(const Weights &weights, int layer)
    : weights_(weights), layer_(layer), n_functions_(weights.paths(layer).n), n_channels_(weights.shape().layers[layer].n_sent),
      frequencies_(weights.bessel_frequencies()), prefactor_(weights.bessel_prefactor()), envelope_cutoff_(weights.envelope_cutoff()),
      envelope_order_(weights.envelope_order())
{
  const LayerShape &shape = weights.shape().layers[layer];
  if (shape.nonlinear) {
    normed_ = std::make_unique<NormedNetwork>(weights, layer, "conv_tp_weights");
    normed_density_ = std::make_unique<NormedNetwork>(weights, layer, "density_fn");
  }
  for (std::size_t step = 0; step <= weights.shape().radial_widths.size() && !shape.nonlinear; ++step)
    steps_.push_back(weights.radial(layer, static_cast<int>(step)));
  if (shape.density && !shape.nonlinear) density_ = weights.density(layer);
  if (weights.shape().agnesi) agnesi_ = weights.agnesi();
}

std::pair<int, int> RadialFunctions::key(int centre, int source) const
{
  const bool agnesi = weights_.shape().agnesi;
  if (normed_) return {centre, source};
  if (layer_ > 0) return agnesi ? std::make_pair(std::min(centre, source), std::max(centre, source)) : std::make_pair(0, 0);
  return {agnesi || weights_.message_depends_on_element(0) ? centre : 0, source};
}

double RadialFunctions::lowest(int centre, int source) const
{
  const double low = weights_.shape().agnesi ? LOWEST_OF_CONTACT * weights_.contact(centre, source) : LOWEST;
  return std::min(low, 0.5 * weights_.shape().cutoff);
}

RadialFunctions::Rows RadialFunctions::basis(double r, int centre, int source, Jet &cut) const
{
  cut = envelope(r, envelope_cutoff_, envelope_order_);
  const Jet t = weights_.shape().agnesi ? agnesi(r, weights_.agnesi_length(centre, source), agnesi_) : Jet{r, 1.0, 0.0};
  Rows out(3, std::vector<double>(frequencies_.size()));
  for (std::size_t k = 0; k < frequencies_.size(); ++k) {
    const double w = frequencies_[k], s = std::sin(w * t.value), c = std::cos(w * t.value), x = t.value;
    const Jet wave{prefactor_ * s / x, prefactor_ * (w * c - s / x) / x,
                   prefactor_ * (-w * w * s - 2.0 * w * c / x + 2.0 * s / (x * x)) / x};
    Jet b = chain(wave, t);
    if (weights_.shape().cutoff_in_basis) b = product(b, cut);
    out[0][k] = b.value;
    out[1][k] = b.first;
    out[2][k] = b.second;
  }
  return out;
}

RadialFunctions::Rows RadialFunctions::network(Rows rows, int centre, int source) const
{
  if (normed_) return normed_->at(std::move(rows), centre, source);
  for (std::size_t step = 0; step < steps_.size(); ++step) {
    const std::size_t width = steps_[step].size() / rows[0].size();
    for (std::vector<double> &row : rows) row = times(row, steps_[step], width);
    if (step + 1 == steps_.size()) break;
    for (std::size_t k = 0; k < width; ++k) {
      const Jet out = chain(silu_jet(rows[0][k]), {rows[0][k], rows[1][k], rows[2][k]});
      rows[0][k] = out.value;
      rows[1][k] = out.first;
      rows[2][k] = out.second;
    }
  }
  return rows;
}

Jet RadialFunctions::density(const Rows &basis, int centre, int source) const
{
  if (density_.empty() && !normed_density_) return {0.0, 0.0, 0.0};
  const Rows rows = normed_density_ ? normed_density_->at(basis, centre, source)
                                    : Rows{times(basis[0], density_, 1), times(basis[1], density_, 1), times(basis[2], density_, 1)};
  const Jet y{rows[0][0], rows[1][0], rows[2][0]};
  const Jet square = product(y, y);
  const double v = std::tanh(square.value), slope = 1.0 - v * v;
  return chain({v, slope, -2.0 * v * slope}, square);
}

const Matrix &RadialFunctions::folding(int l, int centre, int source) const
{
  const std::lock_guard<std::mutex> lock(mutex_);
  Matrix &out = foldings_[{l, key(centre, source)}];
  if (out.empty()) {
    const Matrix sent = weights_.source_features(source);
    if (normed_) return out = sent;
    out = weights_.message(0, l, centre);
    for (int c = 0; c < n_channels_; ++c)
      for (int d = 0; d < n_channels_; ++d) out[c * n_channels_ + d] *= sent[c];
  }
  return out;
}

// In layer 0 there is one path for each degree, with the source's scalars.
void RadialFunctions::fold(Rows &rows, int centre, int source) const
{
  if (normed_) {
    const Matrix &sent = folding(0, centre, source);
    for (std::vector<double> &row : rows)
      for (std::size_t k = 0; k < row.size(); ++k) row[k] *= sent[k % sent.size()];
    return;
  }
  for (std::vector<double> &row : rows)
    for (int l = 0; l < n_functions_; ++l) {
      const std::vector<double> part(row.begin() + l * n_channels_, row.begin() + (l + 1) * n_channels_);
      const std::vector<double> out = times(part, folding(l, centre, source), n_channels_);
      std::copy(out.begin(), out.end(), row.begin() + l * n_channels_);
    }
}

RadialFunctions::Point RadialFunctions::at(double r, int centre, int source) const
{
  Jet cut;
  const Rows b = basis(r, centre, source, cut);
  Rows rows = network(b, centre, source);
  Jet rho = density(b, centre, source);
  if (!weights_.shape().cutoff_in_basis) {
    for (std::size_t k = 0; k < rows[0].size(); ++k) {
      const Jet out = product({rows[0][k], rows[1][k], rows[2][k]}, cut);
      rows[0][k] = out.value;
      rows[1][k] = out.first;
      rows[2][k] = out.second;
    }
    rho = product(rho, cut);
  }
  if (layer_ == 0) fold(rows, centre, source);
  return {rows[0], rows[1], rows[2], rho};
}

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

// coefficients of the quintic in t = (r - left)/h that has the given values and derivatives at both ends
static void quintic(const Jet &left, const Jet &right, double h, double c[N_COEFFICIENTS])
{
  const double rise = right.value - left.value, d0 = h * left.first, d1 = h * right.first, e0 = h * h * left.second,
               e1 = h * h * right.second;
  c[0] = left.value;
  c[1] = d0;
  c[2] = 0.5 * e0;
  c[3] = 10.0 * rise - 6.0 * d0 - 4.0 * d1 - 1.5 * e0 + 0.5 * e1;
  c[4] = -15.0 * rise + 8.0 * d0 + 7.0 * d1 + 1.5 * e0 - e1;
  c[5] = 6.0 * rise - 3.0 * (d0 + d1) - 0.5 * (e0 - e1);
}

static Jet column(const RadialFunctions::Point &point, std::size_t k) { return {point.value[k], point.first[k], point.second[k]}; }

static Jet polynomial(const double *c, double t, double h)
{
  double value = c[N_COEFFICIENTS - 1], slope = 0.0;
  for (int k = N_COEFFICIENTS - 2; k >= 0; --k) {
    slope = slope * t + value;
    value = value * t + c[k];
  }
  return {value, slope / h, 0.0};
}

template <class T>
RadialTable<T>::RadialTable(const RadialFunctions &functions, int centre, int source, double cutoff, double tolerance)
    : n_functions_(functions.n_functions()), n_channels_(functions.n_channels()), low_(functions.lowest(centre, source)),
      span_((cutoff - low_) / N_SPANS), row_size_(radial_row_size<T>(functions.n_functions()))
{
  const auto at = [&](double r) { return functions.at(r, centre, source); };
  std::vector<Knots> spans;
  Point last = at(low_);
  for (int k = 0; k < N_SPANS; ++k) {
    spans.push_back({last, at(low_ + (k + 1) * span_)});
    last = spans.back().back();
    if (k < N_SPANS / 4) continue;    // distances that hardly occur do not set the scale
    for (double slope : spans[k][0].first) slope_scale_ = std::max(slope_scale_, std::abs(slope));
    density_scale_ = std::max(density_scale_, std::abs(spans[k][0].density.first));
  }
  for (int k = 0; k < N_SPANS; ++k) {
    const double first = low_ + k * span_;
    for (int halving = 0; halving < MOST_HALVINGS && worst(functions, spans[k], first, centre, source) > tolerance; ++halving) {
      Knots finer;
      const std::size_t n = 2 * (spans[k].size() - 1);
      for (std::size_t q = 0; q <= n; ++q) finer.push_back(q % 2 ? at(first + q * span_ / n) : std::move(spans[k][q / 2]));
      spans[k] = std::move(finer);
    }
    first_[k] = n_;
    pieces_[k] = static_cast<int>(spans[k].size()) - 1;
    n_ += pieces_[k];
  }
  fill(spans);
}

template <class T>
double RadialTable<T>::worst(const RadialFunctions &functions, const Knots &knots, double first, int centre, int source) const
{
  constexpr double t = 0.25;    // near the largest error of the derivative, which vanishes at 0, 1/2 and 1
  const double step = span_ / (knots.size() - 1);
  double error = 0.0, density_error = 0.0, c[N_COEFFICIENTS];
  for (std::size_t k = 0; k + 1 < knots.size(); ++k) {
    const Point exact = functions.at(first + (k + t) * step, centre, source);
    for (std::size_t q = 0; q < exact.value.size(); ++q) {
      quintic(column(knots[k], q), column(knots[k + 1], q), step, c);
      error = std::max(error, std::abs(polynomial(c, t, step).first - exact.first[q]));
    }
    quintic(knots[k].density, knots[k + 1].density, step, c);
    density_error = std::max(density_error, std::abs(polynomial(c, t, step).first - exact.density.first));
  }
  return std::max(error / slope_scale_, density_error / density_scale_);
}

template <class T> void RadialTable<T>::fill(const std::vector<Knots> &spans)
{
  const int n_blocks = (n_channels_ + block<T>() - 1) / block<T>();
  data_.zero(n_blocks * stride());
  density_.resize(static_cast<std::size_t>(n_) * N_COEFFICIENTS);
  for (int k = 0; k < N_SPANS; ++k)
    for (int piece = 0; piece < pieces_[k]; ++piece) {
      const Point &left = spans[k][piece], &right = spans[k][piece + 1];
      const double step = span_ / pieces_[k];
      const std::size_t interval = first_[k] + piece;
      for_columns<T>(n_functions_, n_channels_, [&](std::size_t offset, int b, int q) {
        double c[N_COEFFICIENTS];
        quintic(column(left, q), column(right, q), step, c);
        T *row = data_.data() + b * stride() + interval * row_size_ + offset;
        for (int power = 0; power < N_COEFFICIENTS; ++power) row[power * block<T>()] = static_cast<T>(c[power]);
      });
      quintic(left.density, right.density, step, density_.data() + interval * N_COEFFICIENTS);
    }
}

template <class T> typename RadialTable<T>::Place RadialTable<T>::find(double r) const
{
  const double x = (r - low_) / span_;
  const int k = std::min(static_cast<int>(x), N_SPANS - 1);
  const double y = (x - k) * pieces_[k];
  const int piece = std::min(static_cast<int>(y), pieces_[k] - 1);
  const std::size_t interval = first_[k] + piece;
  return {data_.data() + interval * row_size_, density_.data() + interval * N_COEFFICIENTS, y - piece, pieces_[k] / span_};
}

template <class T> Jet RadialTable<T>::density(const Place &place)
{
  return polynomial(place.density, place.t, 1.0 / place.per_length);
}

template class RadialTable<float>;
template class RadialTable<double>;
template std::size_t radial_row_size<float>(int);
template std::size_t radial_row_size<double>(int);
template void exact_row<float>(const RadialFunctions::Point &, int, int, float *, std::size_t);
template void exact_row<double>(const RadialFunctions::Point &, int, int, double *, std::size_t);

}    // namespace lmp_uq
