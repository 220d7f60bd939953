// SPDX-License-Identifier: GPL-2.0-or-later
// Formulas of the error bars of one atom or one total: those of lmp_uq.posterior.box, lmp_uq.calibration.force_error, force_error_1 and
// quantile_network, where their sources stand.
#ifndef LMP_UQ_BARS_H
#define LMP_UQ_BARS_H

#include "formulas/hd.h"

#include <cmath>
#include <cstddef>

namespace lmp_uq {

// Below this number of effective modes a sum of uniforms has no Gaussian shoulder left to correct.
constexpr double MIN_EFFECTIVE_MODES = 1.5;
// eV/Angstrom, and of a grade: they keep atoms without force or grade from dominating.
constexpr double FORCE_OFFSET = 0.01, GRADE_OFFSET = 0.05;
constexpr double ENERGY_OFFSET = 0.0005;    // eV/atom
// eV/Angstrom: inside the logarithm of an error, and the smallest bar, about the noise of DFT forces
constexpr double ERROR_OFFSET = 0.005, LEAST_BAR = 0.01;
// of stored residuals: at probabilities 0, 0.01 ... 1
constexpr int N_QUANTILES = 101;
// Numbers in a row of modes are padded with zeros to a multiple of this: independent sums that a processor adds side by side.
constexpr int MODE_LANES = 8;

struct BoxBars {
  double std;           // of x.Theta over the box about its middle
  double half_range;    // expected, of as many members as z stands for
};

LMP_UQ_HD double lane_sum(const double *lanes)
{
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

// Of the modes' reaches a_k, each how far its mode alone moves x.Theta from the middle of the box: the largest |a_k|, and sums over the
// powers of |a_k| over it, because fourth powers of small reaches would underflow.
struct BoxSums {
  double largest, first, second, fourth;
};

// adds a mode's reach to the sums over such as reach no farther than `largest`
LMP_UQ_HD void add_reach(double reach, double largest, double &first, double &second, double &fourth)
{
  const double part = std::fabs(reach) / largest, square = part * part;
  first += part;
  second += square;
  fourth += square * square;
}

// of the modes of both
LMP_UQ_HD BoxSums joined_sums(const BoxSums &a, const BoxSums &b)
{
  const double largest = a.largest > b.largest ? a.largest : b.largest;
  if (!(largest > 0.0)) return a;
  const double x = a.largest / largest, y = b.largest / largest;
  return {largest, x * a.first + y * b.first, x * x * a.second + y * y * b.second, x * x * (x * x) * a.fourth + y * y * (y * y) * b.fourth};
}

// reach: (n) a_k with sign, n a multiple of MODE_LANES
LMP_UQ_HD BoxSums box_sums(const double *reach, int n)
{
  double largest = 0.0;
  for (int k = 0; k < n; k++) largest = std::fabs(reach[k]) > largest ? std::fabs(reach[k]) : largest;
  if (!(largest > 0.0)) return {0.0, 0.0, 0.0, 0.0};
  double sums[MODE_LANES] = {}, seconds[MODE_LANES] = {}, fourths[MODE_LANES] = {};
  for (int k = 0; k < n; k += MODE_LANES)
    for (int lane = 0; lane < MODE_LANES; lane++) add_reach(reach[k + lane], largest, sums[lane], seconds[lane], fourths[lane]);
  return {largest, lane_sum(sums), lane_sum(seconds), lane_sum(fourths)};
}

// z: normal score of the number of members, Phi^-1((K - 3/8)/(K + 1/4))
LMP_UQ_HD BoxBars box_bars(const BoxSums &of, double z)
{
  if (!(of.largest > 0.0)) return {0.0, 0.0};
  const double std = std::sqrt(of.second / 3.0) * of.largest, exact = of.first * of.largest;
  const double effective = of.second * of.second / of.fourth;
  if (effective < MIN_EFFECTIVE_MODES) return {std, exact};
  // the truncated expansion turns down beyond this z; the true extremes never shrink with more members
  const double turn = std::sqrt(1.0 + 8.0 * effective / 1.2), score = z < turn ? z : turn;
  const double corrected = score - (score * score * score - 3.0 * score) * 1.2 / (24.0 * effective);
  return {std, corrected * std < exact ? corrected * std : exact};
}

struct EnergyBars {
  double std, lower, upper;
};

// About the energy of the model that runs; mean: how far the middle of the box lies from it. eV
LMP_UQ_HD EnergyBars energy_bars(const BoxBars &box, double mean, double energy)
{
  return {std::hypot(box.std, mean), energy + (mean - box.half_range), energy + (mean + box.half_range)};
}

// Squared length of an atom's whitened descriptors over the radius of its element -> its grade
LMP_UQ_HD double grade_of(double square, double radius) { return std::sqrt(square) / radius; }

// What the bar of an atom's force error is a function of; forces in eV/Angstrom.
struct ForceVariables {
  double force;         // |F| of the model
  double grade;
  double neighbours;    // the neighbour grade, G
  double correction;    // |F| of the posterior's mean correction; not looked at where its slope is 0
};

// The same of n atoms, (n) each.
struct ForceColumns {
  const double *force, *grade, *neighbours;
  const double *correction;    // or nullptr where nobody uses it

  LMP_UQ_HD ForceVariables of(std::size_t i) const { return {force[i], grade[i], neighbours[i], correction ? correction[i] : 0.0}; }
};

struct ForceScale {
  double intercept, force_slope, grade_slope, known_slope, new_slope, correction_slope;    // b0, bF, bg, bl, bh, bm
};

// log q; infinite for an atom that has no finite grade within two hops
LMP_UQ_HD double log_force_scale(const ForceScale &b, const ForceVariables &v)
{
  if (!std::isfinite(v.grade) || !std::isfinite(v.neighbours)) return std::fabs(v.grade + v.neighbours);    // NaN stays NaN
  const double news = std::log(v.neighbours + GRADE_OFFSET);
  double out = b.intercept + b.force_slope * std::log(v.force + FORCE_OFFSET) + b.grade_slope * std::log(v.grade + GRADE_OFFSET) +
      (news < 0.0 ? b.known_slope : b.new_slope) * news;
  if (b.correction_slope > 0.0) out += b.correction_slope * std::log(v.correction + FORCE_OFFSET);
  return out;
}

// bar of the level whose quantile of the residuals is c
LMP_UQ_HD double force_bar(double log_scale, double c)
{
  const double bar = std::exp(log_scale + c) - ERROR_OFFSET;
  return bar < LEAST_BAR ? LEAST_BAR : bar;    // NaN stays NaN
}

// energy_error of a total energy: a factor of its std, or a function of the mean grade of its atoms (lmp_uq.calibration.grade_error)
struct EnergyBar {
  double factor = 0.0;    // 0: of the mean grade, or not calibrated
  bool of_mean_grade = false;
  double intercept = 0.0, slope = 0.0;    // b0 with the c of the level, bg
};

LMP_UQ_HD double energy_bar(const EnergyBar &b, double std, double mean_grade, double n_atoms)
{
  if (!b.of_mean_grade) return b.factor * std;
  if (!std::isfinite(mean_grade)) return std::fabs(mean_grade);    // NaN stays NaN
  const double bar = std::exp(b.intercept + b.slope * std::log(mean_grade + GRADE_OFFSET)) - ENERGY_OFFSET;
  return n_atoms * (bar < 0.0 ? 0.0 : bar);
}

// Probability that the error exceeds a threshold: 1 less the distribution of the residuals, between whose quantiles (N_QUANTILES) it is linear.
LMP_UQ_HD double probability_above(double log_scale, const double *quantiles, double threshold)
{
  const double residual = std::log(threshold + ERROR_OFFSET) - log_scale;
  if (std::isnan(residual)) return residual;
  if (residual < quantiles[0]) return 1.0;
  int below = 0, above = N_QUANTILES;    // the last of several equal quantiles
  while (above - below > 1) {
    const int middle = (below + above) / 2;
    (quantiles[middle] <= residual ? below : above) = middle;
  }
  if (above == N_QUANTILES) return 0.0;
  return 1.0 - (below + (residual - quantiles[below]) / (quantiles[above] - quantiles[below])) / (N_QUANTILES - 1);
}

// The bar of files before 0.2.
struct ForceBar1 {
  double intercept, force_exponent, grade_exponent;    // b0, bF, bG
  double factor, floor, floor_exponent, least_bar;
};

// exp(b0 + bF log(|F| + 0.01) + bG log(grade + 0.05)) times a factor, at least the floor times (grade + 0.05)^fG, and at least the least bar;
// an unknown element has no bar
LMP_UQ_HD double force_bar_1(const ForceBar1 &b, double force_norm, double grade)
{
  if (!std::isfinite(grade)) return std::fabs(grade);
  const double grown = b.floor * std::pow(grade + GRADE_OFFSET, b.floor_exponent), floor = grown < b.least_bar ? b.least_bar : grown;
  const double exponent = b.intercept + b.force_exponent * std::log(force_norm + FORCE_OFFSET) +
      b.grade_exponent * std::log(grade + GRADE_OFFSET);
  const double bar = b.factor * std::exp(exponent);
  return bar < floor ? floor : bar;    // NaN stays NaN
}

// A bar of the force error, or the probability that it exceeds a threshold, as a function of the variables.
struct ForceFormula {
  int version = 0;                       // of the calibration
  ForceBar1 old = {};                    // version 1
  ForceScale scale = {};                 // version 2
  double c = 0.0;                        // its quantile of the residuals
  const double *quantiles = nullptr;     // (N_QUANTILES): a probability, else a bar
  double threshold = 0.0;                // eV/Angstrom
};

LMP_UQ_HD double value_of(const ForceFormula &f, const ForceVariables &v)
{
  if (f.version == 1) return force_bar_1(f.old, v.force, v.grade);
  const double log_scale = log_force_scale(f.scale, v);
  return f.quantiles ? probability_above(log_scale, f.quantiles, f.threshold) : force_bar(log_scale, f.c);
}

// Root mean squares over the members of |dF|, x, y and z. forces (n_members, 3) of an atom, those of the model taken off
LMP_UQ_HD void member_std(const double *forces, int n_members, double std[4])
{
  double square[3] = {};
  for (int k = 0; k < n_members; k++)
    for (int a = 0; a < 3; a++) square[a] += forces[3 * k + a] * forces[3 * k + a] / n_members;
  std[0] = std::sqrt(square[0] + square[1] + square[2]);
  for (int a = 0; a < 3; a++) std[1 + a] = std::sqrt(square[a]);
}

// log(1 + exp(x)) without overflow
LMP_UQ_HD double softplus(double x) { return (x > 0.0 ? x : 0.0) + std::log1p(std::exp(-std::fabs(x))); }

// From the network's outputs (levels) to the bar of one level: quantiles that rise with the level, kept inside the range that the
// training has seen, times conformal factors; at least the bar of the level below.
LMP_UQ_HD double quantile_bar(const double *outputs, const double *lower, const double *upper, const double *factors, int level)
{
  double log_quantile = 0.0, bar = 0.0;
  for (int k = 0; k <= level; k++) {
    log_quantile = k ? log_quantile + softplus(outputs[k]) : outputs[0];
    const double above = log_quantile < lower[k] ? lower[k] : log_quantile;
    const double mine = factors[k] * std::exp(above > upper[k] ? upper[k] : above);
    bar = mine < bar ? bar : mine;
  }
  return bar;
}

}    // namespace lmp_uq
#endif
