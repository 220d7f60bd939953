// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_PAIR_MACE_UQ_H
#define LMP_PAIR_MACE_UQ_H

#include "lammps/pair.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

struct uq_graph;
struct uq_rows;

namespace LAMMPS_NS {

class PairMaceUq : public Pair {
 public:
  explicit PairMaceUq(class LAMMPS *);
  ~PairMaceUq() override;
  void compute(int, int) override;
  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  void finish() override;
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

  // For the computes and fixes of this plugin, which find() it anew each time. Collective: every rank calls them. They describe the atoms whose
  // forces were computed last, evaluate a field when it is first asked for on a step, and stop with an error where there are no forces of this
  // step, or of these atoms. Per-atom values are in LAMMPS' present order and last until the next call.
  const double *field(int index);                    // (nlocal)
  const double *participation();                     // (nlocal) 1, or 0 for atoms that take no part: they have no value
  const double *model_forces();                      // (nlocal, 3) of this style alone, eV/Angstrom
  double energy();                                   // total over ranks, eV
  void totals(double std_lower_upper[3]);            // of the total energy, eV
  void stress_std(double bar[6]);                    // xx yy zz xy xz yz
  void member_energies(double *energies);            // (n_members()) total energies, eV
  void total_features(double *sum);                  // (n_features()) summed over all atoms
  void virial_rows(bool trace, double *rows);        // (6, n_features()) -d(that)/dstrain, or their trace; evaluates strained cells
  // Closed forms of a row (n_features()), of no step: std about value, bounds; and what each member adds.
  void row_bars(const double *row, double value, double std_lower_upper[3]);
  void member_shifts(const double *row, double *shifts);
  // Error if the model file does not hold what a field or total needs. One that is dear: the derivatives of the coming steps are kept.
  void require_field(int index, const char *who);
  bool has_field(int index) const;
  int n_members() const;                             // K in use
  int n_features() const;                            // P, bias columns included; 0 without a posterior
  std::string model() const;                         // file and hash
  double error_factor(int index) const;              // of UQ_ENERGY_ERROR and UQ_STRESS_ERROR: error / std
  std::string element(int type) const;

  // the mace/uq pair style of this run (also inside hybrid), or an error that names who asks
  static PairMaceUq *find(class LAMMPS *, const char *who);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl;

  void allocate();
  void load(const std::string &file, char **elements);
  void unload();
  void check_host();
  [[noreturn]] void fail_here(const std::string &text);
  void guarded(const std::function<void()> &work);
  void build_graph();
  uq_graph graph_view();
  void evaluate();
  void check_finite();
  void add_forces();
  void tally();
  void evaluator_or_error();
  void current_or_error();
  void evaluate_field(int index);
  const double *as_present(const std::vector<double> &rows, std::vector<double> &buffer, int width = 1);
  double sum_energy() const;
  void compute_force_norm();
  void compute_member_forces();
  void derivatives_or_error();
  void check_members_finite();
  void force_bars();
  double sum_features(std::vector<double> &sum);
  int exchange(const uq_rows &rows, bool forward);
  void exchange_by_id(bool forward);
  void strained_features(const double *e, double scale, std::vector<double> &sum);
  int exchange(double *buffer, int width, bool forward);
  static int forward_callback(void *, double *, int);
  static int reverse_callback(void *, double *, int);
  static int forward_rows_callback(void *, const uq_rows *);
  static int reverse_rows_callback(void *, const uq_rows *);
};

}    // namespace LAMMPS_NS
#endif
