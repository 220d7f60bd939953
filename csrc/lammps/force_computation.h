// SPDX-License-Identifier: GPL-2.0-or-later
// What the pair style has computed last, and what it answers of it: the atoms, their graph, energies, forces, and the fields and totals that
// computes and fixes ask for later.
#ifndef LMP_UQ_FORCE_COMPUTATION_H
#define LMP_UQ_FORCE_COMPUTATION_H

#include "configuration.h"
#include "exclusions.h"
#include "fields.h"
#include "force_norms.h"
#include "ghost_comm.h"
#include "graph.h"
#include "heat_flux.h"
#include "loaded_model.h"
#include "member_forces.h"
#include "neighbour_grade.h"
#include "step_clock.h"

#include "lammps/pointers.h"

#include <cstddef>
#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace LAMMPS_NS {
class NeighList;
class Pair;
}    // namespace LAMMPS_NS

namespace lmp_uq {

class ForceComputation : protected LAMMPS_NS::Pointers {
 public:
  ForceComputation(LAMMPS_NS::LAMMPS *lmp, LAMMPS_NS::Pair &pair, const LoadedModel &model);

  // For the computes and fixes of this plugin. Collective: every rank calls them. They describe the atoms whose forces were computed last,
  // evaluate a field when it is first asked for on a step, and stop with an error where there are no forces of this step, or of these atoms.
  // Per-atom values are in LAMMPS' present order and last until the next call.
  const double *field(const Field &asked);           // (nlocal)
  const double *participation();                     // (nlocal) 1, or 0 for atoms that take no part: they have no value
  const double *model_forces();                      // (nlocal, 3) of this style alone, eV/Angstrom
  double energy();                                   // total over ranks, eV
  void totals(double std_lower_upper[3]);            // of the total energy, eV
  double energy_error(double std);                   // calibrated, of the total energy with this std, eV
  void stress_std(double bar[6], bool of_pops = false);    // xx yy zz xy xz yz; of POPS where a P-readout would answer, for calibrated bars
  void member_energies(double *energies);            // (n_members) total energies, eV
  void total_features(double *sum);                  // (n_features) summed over all atoms
  void virial_rows(bool trace, double *rows);        // (6, n_features) -d(that)/dstrain, or their trace; evaluates strained cells
  std::vector<double> heat_flux(int n_members);      // as HeatFlux::compute
  // Forces -ds/dx (nlocal, 3) on the present atoms and virials of this rank, by one pull, of a quantity s: the sum of the grades with factors
  // (nlocal), or the std of the total energy about the posterior's mean, eV.
  struct Slope {
    const double *forces = nullptr;
    double virial[6] = {};
  };
  Slope pull_grades(const std::vector<double> &factors);
  Slope pull_total_std(double &std);

  // For the pair style.
  void init();    // of a run: computes and fixes are initialized after pair styles and ask again
  void forget();
  void forget_model() { forget(), has_list_ = false; }    // the next may take other atoms, and lists or not
  struct Wanted {
    bool virial, edge_gradients;    // beside energies and forces
  };
  void compute(const LAMMPS_NS::NeighList &list, const Wanted &wanted);
  void keep_derivatives();                                   // of the coming run
  void keep_images() { images_wanted_ = true; }              // as nodes of their own: a heat flux counts where they are
  double *observed(const Field &asked);                      // by fix pair, which takes it whenever LAMMPS has forces
  void settle() { configuration_.settle(); }                 // at the end of a run
  void guarded(const std::function<void()> &work) { ghosts_.guarded(work); }
  GhostComm &ghosts() { return ghosts_; }
  StepClock &clock() { return clock_; }
  const Graph &graph() const { return graph_; }
  const std::vector<double> &energies() const { return energies_; }
  const std::vector<double> &edge_gradients() const { return edge_gradients_; }
  const std::vector<double> &forces() const { return forces_; }
  double local_energy() const { return local_energy_; }
  const double *virial() const { return virial_; }
  std::size_t n_bytes() const;

 private:
  void make_room();
  bool make_nodes(const LAMMPS_NS::NeighList &list);
  void check_atoms(const Graph::Atoms &atoms, int64_t coincident);
  void check_coincident(int64_t edge);
  void build_graph(const LAMMPS_NS::NeighList &list);
  uq_graph graph_view();
  void evaluate(const Wanted &wanted);
  void check_finite();
  void current_or_error();
  struct Column {
    bool known = false;
    std::vector<double> values;     // (n_local)
    std::vector<double> present;    // as the present atoms have them, where these are not the nodes
  };
  Column &column_of(const Field &asked);
  const Column &evaluate_field(const Field &asked);
  void evaluate_cheap(const Field &asked, std::vector<double> &column);
  void need_derivatives(const char *what, bool and_more = true);
  Slope slope_of(const std::function<void(const uq_graph &, const Pulled &)> &pull);
  uq_force_variables force_variables();
  void compute_member_forces(bool of_pops = false);
  bool leaves_known_ground();    // some atom of all ranks; collective, where the file has a P-readout
  const double *as_present(const std::vector<double> &rows, std::vector<double> &buffer, int width = 1);
  double sum_features(std::vector<double> &sum);
  void readout_energies(double total, double *energies);
  [[noreturn]] void fail_here(const std::string &text);

  const LAMMPS_NS::Pair &pair_;
  const LoadedModel &model_;
  Exclusions exclusions_;
  StepClock clock_;
  bool setting_up_ = false;                        // a run
  bool initializing_ = false;                      // one: styles say what they will ask for, LAMMPS has yet to size its buffers
  bool derivatives_wanted_ = false;                // by a compute or fix of the coming run
  bool derivatives_observed_ = false;              // by fix pair, which tells of itself only once
  bool images_wanted_ = false;                     // by a compute of the coming run
  bool has_list_ = false;                          // nodes were made for the neighbour list of the next two
  LAMMPS_NS::bigint builds_ = -1, built_ = -1;

  // Everything below describes the nodes of one force computation; n_local, n_nodes are those of the graph.
  Configuration configuration_;                    // which atoms these are; taken when all of it is there
  Graph graph_;
  GhostComm ghosts_;
  std::vector<double> energies_;                   // (n_local) eV
  std::vector<double> edge_gradients_;             // (n_edges, 3) eV/Angstrom, where they were asked for
  std::vector<double> forces_;                     // (n_nodes, 3) of this style alone
  ForceNorms norms_;
  NeighbourGrade neighbour_grade_;
  double local_energy_ = 0.0;                      // of this rank's atoms, eV
  double virial_[6] = {};                          // of this rank's edges, eV
  double volume_ = 0.0;                            // Angstrom^3
  bool has_derivatives_ = false;                   // of this step: the evaluator can pull members
  MemberForces members_;
  HeatFlux heat_;
  Column columns_[UQ_N_FIELDS];
  std::map<std::pair<int, double>, Column> at_threshold_;    // fields that have one, by number and threshold
  std::vector<double> part_;                       // (n_local) 1
  std::vector<double> slope_;                      // (n_nodes, 3) forces of the bias pulled last
  std::vector<double> present_part_, present_forces_, present_slope_;    // as the present atoms have them, where these are not the nodes
};

}    // namespace lmp_uq
#endif
