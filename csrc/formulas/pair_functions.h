// SPDX-License-Identifier: GPL-2.0-or-later
// Functions of one distance: polynomial envelope, Agnesi and Soft transforms, screened nuclear repulsion. With derivatives.
#ifndef LMP_UQ_PAIR_FUNCTIONS_H
#define LMP_UQ_PAIR_FUNCTIONS_H

#include "formulas/hd.h"

#include <cmath>

namespace lmp_uq {

// value and derivatives with respect to the distance
struct Jet {
  double value, first, second;
};

LMP_UQ_HD Jet product(const Jet &f, const Jet &g)
{
  return {f.value * g.value, f.first * g.value + f.value * g.first,
          f.second * g.value + 2.0 * f.first * g.first + f.value * g.second};
}

// f(g(r)) from the derivatives of f at g
LMP_UQ_HD Jet chain(const Jet &f, const Jet &g)
{
  return {f.value, f.first * g.first, f.second * g.first * g.first + f.first * g.second};
}

// x^n; std::pow would take as long as all the rest of an envelope
LMP_UQ_HD double integer_power(double x, int n)
{
  double out = 1.0;
  for (int k = 0; k < (n < 0 ? -n : n); ++k) out *= x;
  return n < 0 ? 1.0 / out : out;
}

// 1 - (p+1)(p+2)/2 x^p + p(p+2) x^(p+1) - p(p+1)/2 x^(p+2), x = r/cutoff, 0 from the cutoff on
// (Gasteiger et al., arXiv:2003.03123, eq. 8)
LMP_UQ_HD Jet envelope(double r, double cutoff, int p)
{
  if (!(r < cutoff)) return {0.0, 0.0, 0.0};
  const double x = r / cutoff, power = integer_power(x, p - 2), rest = 1.0 - x, c = 0.5 * p * (p + 1.0) * (p + 2.0);
  const double value = 1.0 - power * x * x * (0.5 * (p + 1.0) * (p + 2.0) - x * (p * (p + 2.0) - x * 0.5 * p * (p + 1.0)));
  const double first = -c * power * x * rest * rest / cutoff;
  const double second = -c * power * rest * ((p - 1.0) * rest - 2.0 * x) / (cutoff * cutoff);
  return {value, first, second};
}

struct Agnesi {
  double a, q, p;
};

// 1/(1 + a s^q/(1 + s^(q-p))), s = r/length (Witt et al., J. Chem. Phys. 159, 164101 (2023))
LMP_UQ_HD Jet agnesi(double r, double length, const Agnesi &c)
{
  const double s = r / length, n = c.q - c.p, power = std::pow(s, n), rest = 1.0 + power;
  const double g = c.a * std::pow(s, c.q) / rest;
  // logarithmic derivatives of g with respect to s, times s and s^2
  const double first = c.q - n * power / rest;
  const double second = first * first - first - n * n * power / (rest * rest);
  const Jet inner{g, g * first / r, g * second / (r * r)};
  const double t = 1.0 / (1.0 + g);
  return chain({t, -t * t, 2.0 * t * t * t}, inner);
}

// low + (r - low) (1 + tanh(steepness (r - (low + high)/2)/(high - low)))/2 between low = 3/4 and high = 4/3 of the sum of covalent radii:
// about low for short distances, r for long ones
LMP_UQ_HD Jet soft(double r, double contact, double steepness)
{
  const double low = 0.75 * contact, high = 4.0 / 3.0 * contact, alpha = steepness / (high - low);
  const double t = std::tanh(alpha * (r - 0.5 * (low + high))), slope = 0.5 * alpha * (1.0 - t * t);
  const Jet moved = product({r - low, 1.0, 0.0}, {0.5 * (1.0 + t), slope, -2.0 * alpha * t * slope});
  return {low + moved.value, moved.first, moved.second};
}

struct Repulsion {
  double strength;           // 14.3996 Z_i Z_j / 2, eV Angstrom
  double length;             // screening length, Angstrom
  double cutoff;             // sum of the covalent radii, Angstrom
  double prefactor[4];
  int p;                     // order of the envelope
};

// one directed edge's share of the universal repulsion of Ziegler, Biersack and Littmark (1985), eV, and its derivative
LMP_UQ_HD Jet repulsion(double r, const Repulsion &c)
{
  const Jet f = envelope(r, c.cutoff, c.p);
  if (!(r < c.cutoff)) return f;
  const double decay[4] = {3.2, 0.9423, 0.4028, 0.2016};
  double screening = 0.0, slope = 0.0;
  for (int k = 0; k < 4; ++k) {
    const double term = c.prefactor[k] * std::exp(-decay[k] * r / c.length);
    screening += term;
    slope -= decay[k] / c.length * term;
  }
  const double coulomb = c.strength / r;
  return {coulomb * screening * f.value, coulomb * (slope * f.value + screening * (f.first - f.value / r)), 0.0};
}

}    // namespace lmp_uq
#endif
