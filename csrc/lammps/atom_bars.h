// SPDX-License-Identifier: GPL-2.0-or-later
// Bars, grades and sums of features of the configuration last evaluated, by the head of a device where there is one, else by the host's. What
// is made of descriptors alone is made once; descriptors of a device come here when something needs them that only the host does.
#ifndef LMP_UQ_ATOM_BARS_H
#define LMP_UQ_ATOM_BARS_H

#include "base/bytes.h"
#include "bridge.h"
#include "head/posterior.h"
#include "mace/engine.h"

#include <memory>
#include <vector>

namespace lmp_uq {

class AtomBars {
 public:
  // both live as long as this
  AtomBars(Posterior &posterior, Engine &engine);

  bool on_device() const { return device_ != nullptr; }

  // A new configuration: where its descriptors (n, P) go, nullptr where they stay with its state; then what was evaluated.
  double *take_descriptors(std::size_t n);
  void take(const Engine::State *state, const std::vector<std::int64_t> &species, const std::vector<double> &energies);

  const double *descriptors();    // (n, P), of a device once they are asked for

  // (n) each
  const double *energy_bar(int field);
  const double *grades();
  void grade_slopes(const double *factors, double *weights);    // (n), (n, P), as Posterior gives them; the host's
  void of_force(int field, const uq_force_variables &variables, double threshold, double *column);
  // false: the host has to make them
  bool neighbour_means(const double *values, double *means);
  bool member_std(std::size_t n, int n_members, const double *forces, double *std);

  void feature_sum(double *sum);
  // of another evaluation of the same atoms, whose state is nullptr where descriptors were given out
  void feature_sum_of(const Engine::State *state, const double *descriptors, double *sum);

  std::size_t n_bytes() const;

 private:
  std::size_t n() const { return species_->size(); }

  Posterior &posterior_;
  Engine &engine_;
  std::unique_ptr<Engine::Head> device_;
  const Engine::State *state_ = nullptr;
  const std::vector<std::int64_t> *species_ = nullptr;
  const std::vector<double> *energies_ = nullptr;
  std::vector<double> descriptors_, grades_, bars_[3];
  bool has_descriptors_ = false, has_grades_ = false, has_bars_ = false;
};

}    // namespace lmp_uq
#endif
