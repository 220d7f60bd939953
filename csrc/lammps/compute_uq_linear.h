// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_COMPUTE_UQ_LINEAR_H
#define LMP_COMPUTE_UQ_LINEAR_H

#include "head/packed_matrix.h"
#include "linear/descriptor_source.h"
#include "total_features.h"

#include "lammps/compute.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lmp_uq {
class LinearPotential;
}

namespace LAMMPS_NS {

// compute ID group uq/linear FILE c_b[*] keyword value ... field ...: bars of a linear potential from another compute's descriptors
class ComputeUqLinear : public Compute, public lmp_uq::TotalFeatures {
 public:
  ComputeUqLinear(class LAMMPS *, int, char **);
  ~ComputeUqLinear() override;
  void post_constructor() override;
  void init() override;
  void setup() override;
  void compute_peratom() override;
  void compute_vector() override;
  double memory_usage() override;

  int n_features() const override;
  int n_members() const override;
  std::string model() const override;
  void require_features(const char *who, bool virial) override;
  void total_features(double *sum) override;
  void virial_rows(bool trace, double *rows) override;
  void bars(const double *row, double value, double std_lower_upper[3]) override;
  void member_shifts(const double *row, double *shifts) override;

 private:
  using Role = lmp_uq::DescriptorSource::Role;
  enum Field { ENERGY_STD, ENERGY_LOWER, ENERGY_UPPER, GRADE, FORCE_STD, FORCE_STD_X, FORCE_STD_Y, FORCE_STD_Z, N_FIELDS };
  static const char *const NAMES[N_FIELDS];
  static constexpr int BLOCK = lmp_uq::PackedMatrix::BLOCK;    // rows at a time: no copy of all descriptors is made

  std::string file, descriptor_id, gradient_id, virial_id, pair_style;
  bool check = true;
  std::vector<std::string> element_names;    // of types, if the user says
  std::vector<int> element_of_type;          // (ntypes + 1), -1: takes no part
  std::vector<Field> fields;
  std::unique_ptr<lmp_uq::LinearPotential> potential;
  std::vector<std::vector<double>> columns;    // of each field, local atoms
  bigint columns_step = -1, totals_step = -1;    // on which they were evaluated
  std::vector<double> rows, totals;
  bool by_moved_atom = false;    // how the gradient has its blocks

  // words of the command
  int keyword(int, int, char **);
  std::string compute_id(const std::string &, const char *);
  void map_types();
  Compute *find_compute(const std::string &, Role, long);
  bool asks_forces() const;
  Compute *descriptors();    // looked up each time: computes come and go
  Compute *gradient();
  Compute *virial_source();
  static std::string names();

  // a step
  bool same_atoms(bigint evaluated);
  void guarded(const std::function<void()> &work);
  const double *row_of(Compute *, int) const;
  void invoke(Compute *);
  struct Block {
    std::int64_t species[BLOCK];    // -1: takes no part
    double energies[BLOCK];         // eV
  };
  int read_block(Compute *, int first, Block &);
  void energy_fields();
  void force_fields();
  void gradient_row(Compute *, int i, int axis, double *row) const;    // (width): -d(sum of D)/dr of an atom, blocks of the elements
  void publish(bool same);
  std::vector<double> feature_sum(double &energy, double *grades = nullptr);
  std::vector<double> virial_sum();                                     // (6, width of a row) of all ranks, xx yy zz xy xz yz
  void stress_std(double bar[6]);
  double own_energy(const std::vector<int> &elements, long setting, std::string &words);    // all ranks, eV

  // set-up: does the compute give what the file's Theta belongs to?
  void check_energy();
  void check_derivatives();
  void compare_forces(double &worst, double &largest);
  void check_virial(const double *virial);
  std::string diagnose(double pair_energy);
  std::string accepted(Role) const;
};

}    // namespace LAMMPS_NS
#endif
