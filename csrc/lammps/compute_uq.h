// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_COMPUTE_UQ_H
#define LMP_COMPUTE_UQ_H

#include "fields.h"
#include "step_values.h"
#include "total_features.h"

#include "lammps/compute.h"

#include <string>
#include <vector>

namespace lmp_uq {
class ForceComputation;
}

namespace LAMMPS_NS {

// compute ID group uq field ... [pair N]: bars of the total energy and of the stress, the members' energies; X_max X_tag X_mean of a
// per-atom field X, with its threshold behind it where it has one
class ComputeUq : public Compute, public lmp_uq::TotalFeatures, public lmp_uq::StepValues {
 public:
  ComputeUq(class LAMMPS *, int, char **);
  ~ComputeUq() override;
  void init() override;
  double compute_scalar() override;
  void compute_vector() override;
  void forget() override;

  int n_features() const override;
  int n_members() const override;
  bool has_readout() const override;
  std::string model() const override;
  void require_features(const char *who, bool virial) override;
  void total_features(double *sum) override;
  void virial_rows(bool trace, double *rows) override;
  void bars(const double *row, double value, double std_lower_upper[3]) override;
  void member_shifts(const double *row, double *shifts) override;

 private:
  enum Kind { TOTAL, ENERGY_ERROR, STRESS_STD, STRESS_ERROR, MEMBERS, MAXIMUM, TAG, MEAN };
  struct Item {
    Kind kind;
    lmp_uq::Field needs;    // the per-atom field, or what the model file must hold
    int index = 0;     // TOTAL: 0 std, 1 lower, 2 upper
    int width = 1;     // columns
  };
  std::vector<Item> items;
  int number = 0;    // of several mace/uq
  std::vector<double> values;
  double total[3] = {}, stress[6] = {}, stress_of_pops[6] = {};    // the last: what stress_error is calibrated with

  class PairMaceUq &pair() const;    // looked up each time: pair styles come and go
  lmp_uq::ForceComputation &last() const;
  const uq_model_info &model_info() const;
  Item parse(int narg, char **arg, int &at);
  void require();
  int lay_out();
  void evaluate();
  void fill_all();
  void ask_totals();
  void fill(const Item &, double *);
  double mean(const lmp_uq::Field &);
};

}    // namespace LAMMPS_NS
#endif
