// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_PAIR_MACE_UQ_H
#define LMP_PAIR_MACE_UQ_H

#include "lammps/pair.h"

#include <memory>
#include <string>

namespace lmp_uq {
class ForceComputation;
struct Field;
struct LoadedModel;
}    // namespace lmp_uq

namespace LAMMPS_NS {

class PairMaceUq : public Pair {
 public:
  explicit PairMaceUq(class LAMMPS *);
  ~PairMaceUq() override;
  void compute(int, int) override;
  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  void finish() override;    // at the end of a run
  double init_one(int, int) override;
  void write_restart(FILE *) override;
  void read_restart(FILE *) override;
  void write_restart_settings(FILE *) override;
  void read_restart_settings(FILE *) override;
  int pack_forward_comm(int, int *, double *, int, int *) override;
  void unpack_forward_comm(int, int, double *) override;
  int pack_reverse_comm(int, int, double *) override;
  void unpack_reverse_comm(int, int *, double *) override;
  void *extract(const char *, int &) override;
  void *extract_peratom(const char *, int &) override;
  double memory_usage() override;

  // For the computes and fixes of this plugin, which find() it anew each time.
  lmp_uq::ForceComputation &last();                  // what was computed last, and what it answers
  const lmp_uq::LoadedModel &model() const;
  // Error if the model file does not hold what a field or total needs. One that is dear: the derivatives of the coming steps are kept.
  void require_field(const lmp_uq::Field &field, const char *who);
  // Closed forms of a row (n_features), of no step: std about value, bounds; and what each member adds.
  void row_bars(const double *row, double value, double std_lower_upper[3]);
  void member_shifts(const double *row, double *shifts);

  // The mace/uq pair style of this run, also inside hybrid: the one that the run computes, or, with a number, the one of that number among
  // several. Else an error that names who asks.
  static PairMaceUq *find(class LAMMPS *, const char *who, int number = 0);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl;

  void allocate();
  void load(const std::string &file, char **elements);
  void unload();
  void check_host();
  void evaluator_or_error();
  void add_forces();
  void tally();
};

}    // namespace LAMMPS_NS
#endif
