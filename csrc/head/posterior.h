// SPDX-License-Identifier: GPL-2.0-or-later
// The posterior head: from descriptors to bars, grades and force errors. What lmp_uq.run.engine.Engine makes of them, without an interpreter.
// Nothing is allocated after construction; the methods that write to scratch must not run at the same time on one object.
#ifndef LMP_UQ_POSTERIOR_H
#define LMP_UQ_POSTERIOR_H

#include "base/aligned.h"
#include "head/box.h"
#include "head/force_error.h"
#include "head/head_matrices.h"
#include "file/model_file.h"
#include "head/novelty.h"
#include "head/ordinal_head.h"
#include "head/quantile_network.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace lmp_uq {

struct PosteriorOptions {
  int n_members = 0;            // of the bounds and of the members' energies; 0: all of the file
  int n_force_members = 0;      // of force and stress bars; 0: FORCE_MEMBERS or what the file holds
  bool conservative = false;    // calibrated bars with their conservative quantiles and factors
  bool learned = false;         // force_error from the learned quantile
  std::string name;             // of the file, for messages
};

class Posterior {
 public:
  static constexpr int FORCE_MEMBERS = 8;

  // elements: for each species of the arrays below the number of its element in the file
  // std::runtime_error: more members than the file holds, a learned quantile that it does not hold, calibration numbers out of range
  Posterior(const ModelFile &file, const std::vector<int> &elements, const PosteriorOptions &options);

  bool has_box() const { return box_ != nullptr; }
  bool has_grade() const { return novelty_ != nullptr; }
  bool has_force_error() const { return force_error_ && novelty_; }
  bool has_level(double level) const { return has_force_error() && force_error_->has(level); }
  bool has_quantiles() const { return has_force_error() && force_error_->has_quantiles(); }          // of its residuals: for errors_above()
  bool uses_correction() const { return has_force_error() && force_error_->uses_correction(); }      // ForceColumns::correction is needed
  bool is_learned() const { return network_ != nullptr; }    // force_errors() looks at descriptors
  const EnergyBar &energy_error() const { return energy_error_; }    // of a total energy
  bool has_energy_error() const { return has_box() && (energy_error_.factor != 0.0 || (energy_error_.of_mean_grade && novelty_)); }
  double stress_factor() const { return stress_factor_; }

  int n_descriptors() const { return n_descriptors_; }
  int n_features() const { return box_ ? box_->n_features() : 0; }    // of a feature sum, bias columns included
  int n_members() const { return n_members_; }
  int n_force_members() const { return n_force_members_; }
  const double *force_member(int k) const { return force_members_.data() + static_cast<std::size_t>(k) * n_descriptors_; }    // (P)
  const double *mean_correction() const { return box_->centre(); }    // (P) of the posterior, about the model that runs; has_box()
  std::vector<int> unknown_elements() const;    // in use, without training atoms
  std::size_t n_bytes() const;

  HeadMatrices matrices() const;    // for who works on atoms elsewhere
  // what force_errors(), but for the learned quantile, and errors_above() say of an atom; valid as long as this
  ForceFormula bar_formula(double level) const { return force_error_->bar(force_error_->position(level), conservative_); }
  ForceFormula above_formula(double threshold) const { return force_error_->above(threshold, conservative_); }

  void use_threads(int n);    // of per-atom fields and row_std; results are the same bits for any number

  // Per-atom fields of n atoms: descriptors (n, P), species (n), -1 for an atom that takes no part: its fields are 0.
  // energies (n) eV; std, lower, upper (n) eV
  void energy_bars(std::size_t n, const double *descriptors, const std::int64_t *species, const double *energies, double *std,
                   double *lower, double *upper);
  void grades(std::size_t n, const double *descriptors, const std::int64_t *species, double *grade);

  // weights (n, P): d(grade)/dD of each atom times its factor (n); 0 where the grade is 0 or infinite
  void grade_slopes(std::size_t n, const double *descriptors, const std::int64_t *species, const double *factors, double *weights);

  // std (n) of rows of descriptors' derivatives (n, P), which have no bias columns, in their own unit
  void row_std(std::size_t n, const double *rows, double *std);

  // bar (n) eV/Angstrom of a level; variables: grade as grades() gives it
  // std::runtime_error for a level that the file does not hold
  void force_errors(std::size_t n, const double *descriptors, const std::int64_t *species, const ForceColumns &variables, double level,
                    double *bar);
  // probability (n) that the force error exceeds a threshold, eV/Angstrom; std::runtime_error of a file without quantiles
  void errors_above(std::size_t n, const std::int64_t *species, const ForceColumns &variables, double threshold, double *probability);
  // thresholds (eV/Angstrom) that the ordinal head was trained for; none without a head
  const std::vector<double> &thresholds() const;
  // probability (n) that the force error is at most one of them, 0: the middle one; std::runtime_error for another, or without a head
  void reliabilities(std::size_t n, const double *descriptors, const std::int64_t *species, const ForceColumns &variables, double threshold,
                     double *probability);

  // sum (n_features()) over the atoms that take part; written
  void feature_sum(std::size_t n, const double *descriptors, const std::int64_t *species, double *sum) const;
  void add_bias(std::size_t n, const std::int64_t *species, double *sum) const;    // to a sum of descriptors

  // of the total energy (eV) from the feature sum of all atoms
  void totals(const double *sum, double energy, double std_lower_upper[3]);
  void member_energies(const double *sum, double energy, double *energies) const;    // (n_members())
  // std about the posterior's mean, eV, and its derivatives (P) by the sums of descriptors
  double total_std_slope(const double *sum, double *slope) { return box_->std_slope(sum, scratch_[0].out.data(), slope); }

 private:
  using Rows = const double *[PackedMatrix::BLOCK];
  void read_posterior(const ModelFile &file, const PosteriorOptions &options);
  void read_calibration(const ModelFile &file, const PosteriorOptions &options);
  struct Scratch {                       // of a thread: one block of rows
    Aligned<double> in, out;
  };
  template <class F> void share_out(std::size_t n, const F &work);
  void energy_bars(std::size_t first, std::size_t last, const double *descriptors, const std::int64_t *species, const double *energies,
                   Scratch &s, double *const bars[3]) const;
  // work(element, number of atoms, which, their descriptors) on blocks of atoms of one element: each has a matrix of its own
  template <class F> void by_element(std::size_t first, std::size_t last, const double *descriptors, const std::int64_t *species, const F &work) const;
  // of atoms that a network is for, the others keep theirs; answer(number of atoms, rows, variables, scratch, scratch, values)
  template <class Network, class Answer>
  void ask(const Network &network, std::size_t n, const double *descriptors, const ForceColumns &variables, const Answer &answer,
           double *values);

  int n_descriptors_, n_members_ = 0, n_force_members_ = 0;
  std::vector<int> elements_;
  bool conservative_;
  EnergyBar energy_error_;
  double stress_factor_ = 0.0;
  std::unique_ptr<Box> box_;
  std::unique_ptr<Novelty> novelty_;
  std::unique_ptr<ForceError> force_error_;
  std::unique_ptr<QuantileNetwork> network_;
  std::unique_ptr<OrdinalHead> ordinal_;
  std::vector<double> force_members_;    // (n_force_members_, P): bias columns have no derivative
  std::vector<Scratch> scratch_;         // one for each thread
};

}    // namespace lmp_uq
#endif
