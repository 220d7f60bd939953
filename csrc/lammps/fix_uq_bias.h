// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_FIX_UQ_BIAS_H
#define LMP_FIX_UQ_BIAS_H

#include "bias_strength.h"

#include "lammps/fix.h"

#include <limits>
#include <string>
#include <vector>

namespace lmp_uq {
class ForceComputation;
}

namespace LAMMPS_NS {

// fix ID group uq/bias [grade|energy_std] tau_rel | tau x [power p] [cap c] [until g]
class FixUqBias : public Fix {
 public:
  FixUqBias(class LAMMPS *, int, char **);
  int setmask() override;
  void init() override;
  void setup(int) override;
  void post_force(int) override;
  double compute_scalar() override;
  double compute_vector(int) override;
  void write_restart(FILE *) override;
  void restart(char *) override;
  double memory_usage() override;

 private:
  static constexpr double NONE = std::numeric_limits<double>::infinity();
  enum Kind { GRADE, ENERGY_STD } kind = GRADE;
  double power = 8.0, cap = NONE, until = NONE;
  bool relative = true;
  int of_pair = 0;                // number of the mace/uq, 0: the one that the run computes
  double asked = 0.0;             // tau, eV per unit of s, or its share of the forces
  lmp_uq::BiasStrength strength;
  bool told = false;              // that energy is not conserved
  double s = 0.0, tau = 0.0, largest = 0.0;    // of the last forces
  std::vector<double> factors;    // (nlocal) of the atoms' grades in s

  // words of the command
  int read_strength(int, char **, int at);
  void read_keyword(const std::string &keyword, const std::string &value);
  double number(const std::string &what, const std::string &value, double least);
  void check_model();
  std::string not_conserving() const;

  // a step
  void find_largest(const double *grade, const double *part);
  void find_factors(const double *grade, const double *part);
  void push();
  double strength_now(lmp_uq::ForceComputation &, const double *slope);
};

}    // namespace LAMMPS_NS
#endif
