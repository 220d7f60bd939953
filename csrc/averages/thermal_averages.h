// SPDX-License-Identifier: GPL-2.0-or-later
// Canonical averages of one run and their response to the parameters of the potential, accumulated sample by sample.
//
// With members that differ from the potential that runs by dTheta.Phi, to first order in dTheta
//   <a>_member = <a> + g_a.dTheta,   g_a = <da/dTheta> - beta Cov(a, Phi):
// the cumulant form of G. Imbalzano et al., J. Chem. Phys. 154, 074102 (2021) for a linear potential.
// lmp_uq.averages.estimators is the same.
#ifndef LMP_UQ_THERMAL_AVERAGES_H
#define LMP_UQ_THERMAL_AVERAGES_H

#include <cstddef>
#include <vector>

namespace lmp_uq {

class ThermalAverages {
 public:
  static constexpr int NO_ROW = -1;    // a value that does not depend on Theta but through the positions

  struct Sizes {
    int n_features;     // P
    int n_members;      // M: of the tests, not of the bars
    int n_rows;         // different rows da/dTheta
  };

  // One sample. values (A); features (P): Phi; rows (n_rows, P): da/dTheta; member_energies (M): dTheta.Phi, eV; member_rows (n_rows, M)
  struct Sample {
    const double *values, *features, *rows, *member_energies, *member_rows;
  };

  // row_of_value (A): index of the value's row, or NO_ROW
  ThermalAverages(const Sizes &sizes, std::vector<int> row_of_value);

  void set_beta(double beta) { beta_ = beta; }    // 1/eV; before the first sample

  void add(const Sample &sample);
  void clear();

  long n_samples() const { return static_cast<long>(n_); }
  int n_values() const { return static_cast<int>(row_of_value_.size()); }
  int n_features() const { return sizes_.n_features; }
  int n_members() const { return sizes_.n_members; }
  int n_blocks() const { return static_cast<int>(n_whole_); }
  double block_length() const { return length_; }    // samples

  double mean(int value) const { return mean_[value]; }
  void response(int value, double *g) const;    // (P) g_a
  // Standard errors from the scatter of blocks of samples, NaN below two blocks: of the mean, and of the members' shifts g_a.dTheta (root
  // mean square over the M members), which a bar holds beside what it is about.
  double mean_error(int value) const;
  double response_error(int value) const;

  // of each of the M members: variance of beta dTheta.Phi, and effective share of the samples under direct reweighting
  std::vector<double> variances() const;
  std::vector<double> effective_shares() const;

  // Everything accumulated, as numbers; what restore() takes from an object of the same sizes.
  std::vector<double> state() const;
  std::size_t state_size() const;
  void restore(const double *state);

 private:
  static constexpr int MAX_BLOCKS = 32;    // then neighbours are merged: 16 to 31 whole blocks of equal length remain
  struct Block {
    double n = 0.0;
    std::vector<double> values, energies, rows;    // means: (A), (M), (n_rows, M)
    std::vector<double> products;                  // (A, M) sums of (a - mean)(dTheta.Phi - mean)
  };
  std::vector<std::vector<double> *> arrays();
  Block empty_block() const;
  void add_to_totals(const Sample &sample);
  void add_to_block(const Sample &sample);
  static void merge(Block &into, const Block &other);

  Sizes sizes_;
  std::vector<int> row_of_value_;
  double beta_ = 0.0;
  double n_ = 0.0, length_ = 1.0, n_whole_ = 0.0;
  std::vector<double> mean_, features_, rows_, products_;    // means (A), (P), (n_rows, P); sums of products (A, P)
  std::vector<double> energies_, squares_;                   // (M) mean of dTheta.Phi, sum of squared deviations
  std::vector<double> log_shift_, weight_, weight_square_;   // (M) sums of w and w^2, w = exp(-h - log_shift)
  std::vector<Block> blocks_;                                // MAX_BLOCKS; the one behind the whole ones is under way
};

}    // namespace lmp_uq
#endif
