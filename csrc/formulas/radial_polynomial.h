// SPDX-License-Identifier: GPL-2.0-or-later
// Tabulated radial functions: in which interval a distance lies, the polynomial of an interval, and its value and slope.
#ifndef LMP_UQ_RADIAL_POLYNOMIAL_H
#define LMP_UQ_RADIAL_POLYNOMIAL_H

#include "formulas/hd.h"
#include "formulas/pair_functions.h"

namespace lmp_uq {

constexpr int MOST_COEFFICIENTS = 8;  // of a radial function on an interval, a polynomial in t
// Of one in an engine of numbers T. In float64 polynomials of degree 7 need a quarter of the memory of quintics at the same error, which is
// worth their reading; tables in float32 are small anyway.
template <class T> LMP_UQ_HD constexpr int n_coefficients() { return sizeof(T) == 8 ? 8 : 6; }

constexpr int N_SPANS = 16;          // of equal length, each cut into as many equal intervals as it needs

struct RadialSpans {
  double low, length;                // where the first begins, Angstrom; of one
  int first[N_SPANS], pieces[N_SPANS];    // of each: its first interval, how many it has
};

LMP_UQ_HD int n_intervals_of(const RadialSpans &spans) { return spans.first[N_SPANS - 1] + spans.pieces[N_SPANS - 1]; }

// which interval, the argument 0..1 of its polynomials, and dt/dr in 1/Angstrom
struct RadialPlace {
  int interval;
  double t, per_length;
};

// of a distance from the lowest on; what lies beyond the last span is put at its end
LMP_UQ_HD RadialPlace radial_place(const RadialSpans &spans, double r)
{
  const double x = (r - spans.low) / spans.length;
  const int k = x < N_SPANS ? static_cast<int>(x) : N_SPANS - 1, n = spans.pieces[k];
  const double y = (x - k) * n;
  const int piece = y < n ? static_cast<int>(y) : n - 1;
  return {spans.first[k] + piece, y - piece, n / spans.length};
}

// Coefficients of a polynomial in t that has the given values and derivatives at both ends of an interval of length h: 6, a quintic, or 8
// with the given value and first derivative in the middle, to which the quintic gains a multiple of t^3 (1-t)^3, which the ends do not see.
LMP_UQ_HD void hermite(const Jet &left, const Jet &middle, const Jet &right, double h, int n_coefficients, double *c)
{
  const double rise = right.value - left.value, d0 = h * left.first, d1 = h * right.first, e0 = h * h * left.second,
               e1 = h * h * right.second;
  c[0] = left.value;
  c[1] = d0;
  c[2] = 0.5 * e0;
  c[3] = 10.0 * rise - 6.0 * d0 - 4.0 * d1 - 1.5 * e0 + 0.5 * e1;
  c[4] = -15.0 * rise + 8.0 * d0 + 7.0 * d1 + 1.5 * e0 - e1;
  c[5] = 6.0 * rise - 3.0 * (d0 + d1) - 0.5 * (e0 - e1);
  if (n_coefficients == 6) return;
  const double value = left.value + 0.5 * rise + 5.0 / 32.0 * (d0 - d1) + (e0 + e1) / 64.0;
  const double slope = 15.0 / 8.0 * rise - 7.0 / 16.0 * (d0 + d1) - (e0 - e1) / 32.0;
  const double b = 64.0 * (h * middle.first - slope), a = 64.0 * (middle.value - value) - 0.5 * b;
  c[3] += a;
  c[4] += b - 3.0 * a;
  c[5] += 3.0 * (a - b);
  c[6] = 3.0 * b - a;
  c[7] = -b;
}

// value and derivative with respect to t of the polynomial whose coefficient k is of(k); V: a number, or a vector of channels
template <int N, class V, class T, class F> LMP_UQ_HD_ALWAYS void polynomial(const F &of, T t, V &value, V &slope)
{
  slope = of(N - 1);
  value = slope * t + of(N - 2);
  for (int k = N - 3; k >= 0; --k) {
    slope = slope * t + value;
    value = value * t + of(k);
  }
}

}    // namespace lmp_uq
#endif
