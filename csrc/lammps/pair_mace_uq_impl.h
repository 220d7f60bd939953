// SPDX-License-Identifier: GPL-2.0-or-later
// What PairMaceUq holds; private to its source files, so that no other file sees the evaluator.
#ifndef LMP_PAIR_MACE_UQ_IMPL_H
#define LMP_PAIR_MACE_UQ_IMPL_H

#include "configuration.h"
#include "evaluator.h"
#include "exclusions.h"
#include "fields.h"
#include "graph.h"
#include "pair_mace_uq.h"
#include "step_clock.h"

#include "lammps/lmptype.h"

#include <exception>
#include <set>
#include <string>
#include <vector>

struct LAMMPS_NS::PairMaceUq::Impl {
  // Columns per call of LAMMPS' communication: its buffers are sized from comm_forward/comm_reverse and must not be overrun.
  static constexpr int CHUNK = 64;

  explicit Impl(LAMMPS *lmp) : configuration(lmp) {}

  lmp_uq::Settings settings;
  std::unique_ptr<lmp_uq::Evaluator> evaluator;
  uq_model_info info = {};
  std::string file;                               // as the user wrote it
  std::vector<std::string> element_of_type;       // [1 ... ntypes], NULL for types that take no part
  std::vector<int> species_of_type;               // [1 ... ntypes], index into the evaluator's elements, or -1

  lmp_uq::Exclusions exclusions;
  std::set<std::string> warned;                   // each warning is said once

  // Everything below describes the atoms of one force computation, in their order then: n_local, n_nodes are those of the graph.
  lmp_uq::Configuration configuration;            // which atoms these are; taken when all of it is there
  bool reordered = false;                         // LAMMPS has them in another order now: its communication does not fit any more
  lmp_uq::Graph graph;
  std::vector<double> energies;                   // (n_local) eV
  std::vector<double> edge_gradients;             // (n_edges, 3) eV/Angstrom
  std::vector<double> forces;                     // (n_nodes, 3) of this style alone
  std::vector<double> force_norm;                 // (n_local), valid if has_force_norm
  double local_energy = 0.0;
  double volume = 0.0;                            // Angstrom^3, as compute pressure has it
  bool has_force_norm = false;
  bool derivatives_wanted = false;                // by a compute or fix of the coming run
  bool derivatives_observed = false;              // by fix pair, which tells of itself only once
  bool has_derivatives = false;                   // of this step: the evaluator can pull members
  bool has_members = false;                       // the two below are of this step
  std::vector<double> member_forces;              // (n_nodes, 3 K') member - model, eV/Angstrom
  std::vector<double> member_virials;             // (K', 6) of this rank's edges, eV
  bool evaluated[UQ_N_FIELDS] = {};
  std::vector<double> columns[UQ_N_FIELDS];       // (n_local)
  std::vector<double> part;                       // (n_local) 1 for atoms that take part, else 0
  std::vector<double> present[UQ_N_FIELDS];       // columns as the present atoms have them, where they are reordered; and part
  std::vector<double> present_part, present_forces;
  double cutoff_copy = 0.0;                       // for extract(): what is handed out may be written to
  lmp_uq::StepClock clock;
  bool setting_up = false;                        // a run
  int flags[UQ_N_FIELDS] = {};                    // fix pair's <field>_flag

  // exchange under way
  uq_rows rows = {};
  int first_column = 0, n_columns = 0;
  std::exception_ptr pending;                     // a LAMMPS exception must not unwind through Python: it waits here

  void forget()
  {
    configuration.drop();
    reordered = false;
    has_force_norm = has_derivatives = has_members = false;
    for (bool &known : evaluated) known = false;
  }
};

#endif
