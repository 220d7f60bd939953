// SPDX-License-Identifier: GPL-2.0-or-later
// MACE energies, descriptors and gradients of weighted sums of them, without torch, Python, LAMMPS or MPI.
#ifndef LMP_UQ_ENGINE_H
#define LMP_UQ_ENGINE_H

#include "base/head_matrices.h"
#include "formulas/bars.h"
#include "mace/architecture.h"
#include "mace/atom_graph.h"
#include "mace/ghost_exchange.h"
#include "mace/pull_weights.h"
#include "mace/table_store.h"
#include "file/tensor.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace lmp_uq {

class Engine {
 public:
  struct Options {
    bool single_precision = false;      // features, tables and edges in float32; energies, gradients and sums in float64
    // Largest error of a tabulated radial function's derivative over its largest derivative (see RadialKnots); below 0: 1e-9, 1e-6 in
    // single precision; 0: no tables, exact and slow.
    double table_tolerance = -1.0;
    bool single_precision_bars = false; // pulls of descriptor weights alone in float32 all the same
    int threads = 1;                    // of evaluate and pull; 0: as many as OpenMP says
    int device = -1;                    // number of a CUDA device, see choose_device; -1: the CPU
    int n_sharing = 1;                  // processes that use this device at the same time, each its share of the memory
  };

  // What pull needs of one evaluation.
  class State {
   public:
    virtual ~State() = default;
    virtual std::size_t n_bytes() const = 0;
    virtual void forget_derivatives() {}    // who calls it pulls no more; what make_head()'s head needs stays
  };

  // The posterior's work on the atoms of an evaluation, where their descriptors are. Each call gives the same bits for the same state.
  class Head {
   public:
    virtual ~Head() = default;
    virtual std::size_t n_bytes() const = 0;
    // (n_local) each, as Posterior gives them; bars need energies to have been evaluated, eV
    virtual void energy_bars(const State &state, double *std, double *lower, double *upper) = 0;
    virtual void grades(const State &state, double *grade) = 0;
    virtual void force_values(std::size_t n, const ForceColumns &variables, const ForceFormula &formula, double *values) = 0;
    // std (4, n) of |dF|, x, y and z over the members; forces (n, n_members, 3) less those of the model
    virtual void member_std(std::size_t n, int n_members, const double *forces, double *std) = 0;
    virtual void feature_sum(const State &state, double *sum) = 0;    // (n_features) of descriptors, no bias columns
    // means (n_local) of each atom's and its neighbours' values (n_nodes)
    virtual void neighbour_means(const State &state, const double *values, double *means) = 0;
  };

  virtual ~Engine() = default;

  // architecture: the header's entry backbone.architecture. tensors: names without the section; their bytes stay valid as long as
  // the engine. std::runtime_error: a feature that the engine does not run, tensors that do not fit.
  static std::unique_ptr<Engine> make(const Json &architecture, Tensors tensors, const Options &options);

  // Makes what atoms of these elements need, the tables of all their pairs before all, so that no step has to; without it that is made when a
  // pair first occurs. Collective over the processes of the store; std::runtime_error in all of them.
  virtual void prepare(const std::vector<int> &elements, std::shared_ptr<TableStore> store) = 0;
  virtual double table_bytes_of(const std::vector<int> &elements) const = 0;    // about what their tables will take

  virtual const Architecture &shape() const = 0;
  virtual const char *instruction_set() const = 0;
  virtual std::string device() const { return "cpu"; }
  virtual std::size_t table_bytes() const = 0;          // of the radial tables made so far
  virtual std::size_t n_bytes() const = 0;              // of these, of weights as they are laid out, and of work space
  virtual int n_threads() const = 0;
  virtual int exchange_width(int n_sets) const = 0;     // doubles of the widest row of a ghost where so many sets are pulled at once
  static int most_sets();                               // that a pull takes at once

  // energies (n_local) in eV, nullptr: none; descriptors (n_local, n_features), nullptr, where there is a head: they stay with the state.
  // Collective over the ranks that exchange ghosts. keep: what pull needs, most of the memory of a pass; else the state has no derivatives,
  // and nullptr is returned where descriptors were given out. Several threads may call it. std::runtime_error: a graph that does
  // not fit, an edge without length, a failed exchange.
  virtual std::unique_ptr<State> evaluate(const AtomGraph &graph, const GhostExchange &exchange, bool keep, double *energies,
                                          double *descriptors) = 0;

  // gradients (n_sets, n_edges, 3): d(sum_i w_i E_i + sum_ip W_ip D_ip)/d r_ij in eV/Angstrom for each set of w and W; collective.
  // energy_weights (n_sets, n_local) w or nullptr; descriptor_weights (n_sets, n_local, n_features) W or nullptr
  virtual void pull(const State &state, const GhostExchange &exchange, int n_sets, const double *energy_weights,
                    const double *descriptor_weights, double *gradients) = 0;

  // A head with a copy of these matrices; nullptr: descriptors are the host's, and so is the work on them. It may outlive the engine.
  virtual std::unique_ptr<Head> make_head(const lmp_uq_head_matrices &) { return nullptr; }
  // (n_local, n_features) that stayed with a state
  virtual void descriptors(const State &, double *) { throw std::logic_error("descriptors are given out by evaluate"); }
};

// An engine that keeps a NeighbourList, finds the edges of a step by itself, and adds up forces: what passes between it
// and its caller at a step grows with the atoms, not with the edges.
class ListEngine : public Engine {
 public:
  // Where a pull's results go; nullptr: not wanted.
  struct Pulled {
    double *gradients;    // (n_sets, n_edges, 3) as above; 0 beyond the cutoff
    double *forces;       // (n_sets, n_nodes, 3): less the gradients of the nodes' positions
    double *virials;      // (n_sets, 6): -sum of r (x) gradient, symmetrised, xx yy zz xy xz yz
  };
  using PullWeights = lmp_uq_pull_weights;
  virtual void pull_to(const State &state, const GhostExchange &exchange, int n_sets, const PullWeights &weights, const Pulled &out) = 0;
  void pull(const State &state, const GhostExchange &exchange, int n_sets, const double *energy_weights, const double *descriptor_weights,
            double *gradients) final
  {
    pull_to(state, exchange, n_sets, {energy_weights, descriptor_weights, nullptr, nullptr}, {gradients, nullptr, nullptr});
  }
};

}    // namespace lmp_uq
#endif
