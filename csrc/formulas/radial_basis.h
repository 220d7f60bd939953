// SPDX-License-Identifier: GPL-2.0-or-later
// Functions of a distance, or of its transform, that go into the radial network, each with one parameter of its own. With derivatives.
#ifndef LMP_UQ_RADIAL_BASIS_H
#define LMP_UQ_RADIAL_BASIS_H

#include "formulas/pair_functions.h"

#include <cmath>

namespace lmp_uq {

enum class RadialBasis { Bessel, Gaussian, Chebyshev };

// scale sin(w x)/x (Gasteiger et al., arXiv:2003.03123, eq. 7)
LMP_UQ_HD Jet bessel(double x, double w, double scale)
{
  const double s = std::sin(w * x), c = std::cos(w * x);
  return {scale * s / x, scale * (w * c - s / x) / x, scale * (-w * w * s - 2.0 * w * c / x + 2.0 * s / (x * x)) / x};
}

// exp(scale (x - centre)^2), scale < 0
LMP_UQ_HD Jet gaussian(double x, double centre, double scale)
{
  const double y = x - centre, value = std::exp(scale * y * y), first = 2.0 * scale * y;
  return {value, first * value, (2.0 * scale + first * first) * value};
}

// T_n by its recursion T_n = 2 x T_(n-1) - T_(n-2)
LMP_UQ_HD Jet chebyshev(double x, int n)
{
  Jet before{1.0, 0.0, 0.0}, now{x, 1.0, 0.0};
  if (n == 0) return before;
  for (int k = 1; k < n; ++k) {
    const Jet next{2.0 * x * now.value - before.value, 2.0 * (now.value + x * now.first) - before.first,
                   2.0 * (2.0 * now.first + x * now.second) - before.second};
    before = now;
    now = next;
  }
  return now;
}

LMP_UQ_HD Jet radial_basis(RadialBasis kind, double x, double parameter, double scale)
{
  switch (kind) {
    case RadialBasis::Bessel: return bessel(x, parameter, scale);
    case RadialBasis::Gaussian: return gaussian(x, parameter, scale);
    default: return chebyshev(x, static_cast<int>(parameter));
  }
}

}    // namespace lmp_uq
#endif
