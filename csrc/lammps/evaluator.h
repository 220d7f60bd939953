// SPDX-License-Identifier: GPL-2.0-or-later
// What the pair style asks of a model. Two stand behind it: evaluator_native (csrc/mace/cpu) and evaluator_python (torch).
#ifndef LMP_UQ_EVALUATOR_H
#define LMP_UQ_EVALUATOR_H

#include "bridge.h"
#include "model_source.h"
#include "settings.h"
#include "mace/cpu/edge_sums.h"
#include "mace/engine.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace lmp_uq {

using Pulled = ListEngine::Pulled;

// Forces and virials of pulls that end at edges.
class EdgePulls {
 public:
  explicit EdgePulls(int n_threads) : sums_(n_threads) {}

  double *gradients(const uq_graph &graph, int n, const Pulled &out);    // (n, n_edges, 3): of `out`, or scratch where nobody wants them
  void add_up(const uq_graph &graph, int n, const Pulled &out);          // what was written there
  std::size_t n_bytes() const { return bytes_of(scratch_) + sums_.n_bytes(); }

 private:
  EdgeSums sums_;
  std::vector<double> scratch_;
};

class Evaluator {
 public:
  virtual ~Evaluator() = default;

  // Every method throws std::runtime_error with a text for the user.
  // elements: one name per LAMMPS type that takes part; species in uq_graph are indices into it.
  virtual uq_model_info load(const ModelSource &source, const std::vector<std::string> &elements) = 0;
  virtual std::string remark() const { return ""; }    // after load, for the log
  virtual bool shares_out_work() const { return false; }    // to threads of this process that say what they share

  // Radial tables of all pairs of the elements, before the first step: about how many bytes they take, and their making, collective over the
  // store's ranks, which gives how many they do. An evaluator without tables has nothing to do.
  virtual double table_bytes() { return 0.0; }
  virtual std::size_t make_tables(std::shared_ptr<TableStore>) { return 0; }

  // Whether its graphs are neighbour lists, with positions in place of vectors; the edges of a step are then found where the model runs.
  virtual bool takes_lists() const { return false; }

  // energies (n_local) eV, forces, virial, dE/dr_ij; keeps what the methods below need until the next call, the derivatives that those for
  // gradients need only if told to
  virtual void evaluate(const uq_graph &graph, bool keep, double *energies, const Pulled &out) = 0;

  // of n force members less the model, of the graph last evaluated; collective. After the K' of POPS come as many of the P-readout.
  virtual void pull_members(const uq_graph &graph, int first, int n, const Pulled &out) = 0;

  // of the posterior's mean correction, where the file uses it
  virtual void pull_correction(const uq_graph &graph, const Pulled &out) = 0;

  // d(sum_i w_i E_i)/dr_ij (n_sets, n_edges, 3) with weights w (n_sets, n_local) of the atoms' energies, of the graph last evaluated: those of
  // the model, or what a force member changes of them. Moments, where the graph has shifts. Collective.
  static constexpr int OF_MODEL = -1;
  virtual void energy_gradients(const uq_graph &graph, int member, int n_sets, const double *weights, double *gradients) = 0;

  // For biases, of the graph last evaluated, collective: of the sum of the atoms' grades with factors (n_local); and of the std of the total
  // energy about the posterior's mean, from the feature sum of all ranks, which is returned, eV
  virtual void pull_grades(const uq_graph &graph, const double *factors, const Pulled &out) = 0;
  virtual double pull_total_std(const uq_graph &graph, const double *sum, const Pulled &out) = 0;

  // one cheap per-atom field (n_local) of the configuration last evaluated, but neighbour_grade, which takes the whole graph; variables, only
  // for what is made of them: force_error, its levels, error_above and reliability, whose thresholds are in eV/Angstrom
  virtual void per_atom(int field, const uq_force_variables *variables, double threshold, double *column) = 0;

  // means (n_local) of each atom's and its neighbours' values (n_nodes), in that graph; false: the caller has to make them
  virtual bool neighbour_means(const double * /* values */, double * /* means */) { return false; }

  // std (4, n) of |dF|, x, y and z over the members, forces (n, n_members, 3) less those of the model; false as above
  virtual bool member_std(std::size_t /* n */, int /* n_members */, const double * /* forces */, double * /* std */) { return false; }

  // sum of this rank's features, bias columns included; the sums of all ranks, added, go into totals()
  virtual void feature_sum(double *sum) = 0;
  // The same with other edge vectors, by a forward pass alone; what is kept of the configuration last evaluated stays. Collective.
  virtual void feature_sum_of(const uq_graph &graph, double *sum) = 0;
  virtual void totals(const double *sum, double energy, double std_lower_upper[3]) = 0;
  virtual void member_energies(const double *sum, double energy, double *energies) = 0;    // (n_members) eV
  virtual void readout_energies(double *energies) = 0;    // (n_members) that those of the P-readout add to this rank's atoms, eV

  virtual double memory_usage() = 0;    // bytes of weights, tables, posterior and what is kept of the configuration last evaluated
};

// A model or a device that the native engine does not run: its load() says so by this.
struct NotNative : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::unique_ptr<Evaluator> make_native_evaluator(const Settings &settings);
std::unique_ptr<Evaluator> make_python_evaluator(const Settings &settings);

// Makes the evaluator of settings.engine and loads the file into it; auto: native, whatever the machine has, and torch where native does
// not run the model or a GPU is asked for. note: then why, in one line for the log, else empty.
std::unique_ptr<Evaluator> load_evaluator(const Settings &settings, const ModelSource &source, const std::vector<std::string> &elements,
                                          uq_model_info &info, std::string &note);

}    // namespace lmp_uq
#endif
