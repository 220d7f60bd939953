// SPDX-License-Identifier: GPL-2.0-or-later
// First and second derivatives of csrc/formulas against differences of their values: the worst relative error of each, by name. Compiled and
// read by tests/backbone/test_formulas.py.
#include "formulas/radial_basis.h"
#include "formulas/readout.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <vector>

using namespace lmp_uq;

namespace {

using Function = std::function<Jet(double)>;

double relative(double found, double expected, double scale) { return std::abs(found - expected) / std::max(scale, 1e-8); }

void check(const char *name, double from, double to, const Function &f)
{
  constexpr int N = 40;
  constexpr double H = 1e-4;
  double first = 0.0, second = 0.0, largest_first = 0.0, largest_second = 0.0;
  for (int k = 0; k <= N; ++k) {
    const Jet here = f(from + (to - from) * k / N);
    largest_first = std::max(largest_first, std::abs(here.first));
    largest_second = std::max(largest_second, std::abs(here.second));
  }
  for (int k = 0; k <= N; ++k) {
    const double x = from + (to - from) * k / N;
    const Jet before = f(x - H), here = f(x), after = f(x + H);
    first = std::max(first, relative(here.first, (after.value - before.value) / (2.0 * H), largest_first));
    second = std::max(second, relative(here.second, (after.first - before.first) / (2.0 * H), largest_second));
  }
  std::printf("%s %.3e %.3e\n", name, first, second);
}

// as a Jet without a second derivative of its own: the slope's difference is taken in its place
Function slope_only(Activation kind)
{
  return [kind](double x) {
    constexpr double H = 1e-4;
    return Jet{activation(kind, x, 1.7), activation_slope(kind, x, 1.7),
               (activation_slope(kind, x + H, 1.7) - activation_slope(kind, x - H, 1.7)) / (2.0 * H)};
  };
}

// readout: of 5 scalars, its energy and add_gradient(scalars, gradient)
template <class E, class G> void check_readout(const char *name, const E &energy, const G &add_gradient)
{
  std::vector<double> h(5);
  for (std::size_t c = 0; c < h.size(); ++c) h[c] = std::cos(2.0 + 5.0 * c);
  const auto along = [&](double t) {
    std::vector<double> moved(h), gradient(h.size(), 0.0);
    moved[2] += t;
    add_gradient(moved.data(), gradient.data());
    return Jet{energy(moved.data()), gradient[2], 0.0};
  };
  const Jet before = along(-1e-4), here = along(0.0), after = along(1e-4);
  std::printf("%s %.3e 0\n", name, relative(here.first, (after.value - before.value) / 2e-4, std::abs(here.first)));
}

void check_readouts(Activation kind)
{
  std::vector<double> matrix(15), mid(9), work(6);
  const std::vector<double> weights = {0.7, -1.1, 0.4}, bias = {0.3, -0.2, 0.9};
  for (std::size_t k = 0; k < matrix.size(); ++k) matrix[k] = std::sin(1.0 + 3.0 * k);
  for (std::size_t k = 0; k < mid.size(); ++k) mid[k] = std::cos(1.0 + 4.0 * k);
  const GatedReadout gated{5, 3, matrix.data(), weights.data(), kind};
  check_readout("gated_readout", [&](const double *h) { return gated_readout(gated, h, work.data()); },
                [&](const double *h, double *gradient) { add_gated_readout_gradient(gated, h, 1.0, work.data(), gradient); });
  const TwiceGatedReadout twice{5, 3, kind, matrix.data(), mid.data(), bias.data(), weights.data(), 0.5};
  check_readout("twice_gated_readout", [&](const double *h) { return twice_gated_readout(twice, h, work.data()); },
                [&](const double *h, double *gradient) { add_twice_gated_readout_gradient(twice, h, 1.0, work.data(), gradient); });
}

}    // namespace

int main()
{
  for (double w : {0.6, 4.2}) check("bessel", 0.3, 5.0, [w](double x) { return bessel(x, w, 0.6); });
  for (double centre : {0.0, 2.0}) check("gaussian", 0.3, 5.0, [centre](double x) { return gaussian(x, centre, -1.3); });
  for (int n : {0, 1, 2, 7}) check("chebyshev", -1.2, 1.2, [n](double x) { return chebyshev(x, n); });
  check("soft", 0.5, 5.0, [](double r) { return soft(r, 2.1, 4.0); });
  check("agnesi", 0.5, 5.0, [](double r) { return agnesi(r, 1.1, {1.0805, 0.9183, 4.5791}); });
  check("envelope", 0.5, 4.9, [](double r) { return envelope(r, 5.0, 5); });
  check("silu_jet", -4.0, 4.0, silu_jet);
  check("tanh_jet", -2.0, 2.0, tanh_jet);
  for (Activation kind : {Activation::Silu, Activation::Tanh, Activation::None}) {
    check("activation", -2.0, 2.0, slope_only(kind));
    check_readouts(kind);
  }
  check("abs", 0.5, 2.0, slope_only(Activation::Abs));
  check("abs", -2.0, -0.5, slope_only(Activation::Abs));
}
