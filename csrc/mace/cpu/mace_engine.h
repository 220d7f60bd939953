// SPDX-License-Identifier: GPL-2.0-or-later
// The engine in one precision. Order of work, layer by layer: messages over the edges of a batch of centres, products, linear maps,
// readout, exchange of ghosts; backwards for gradients.
#ifndef LMP_UQ_MACE_ENGINE_H
#define LMP_UQ_MACE_ENGINE_H

#include "mace/cpu/batch_edges.h"
#include "mace/cpu/blocked_rows.h"
#include "mace/engine.h"
#include "base/threads.h"
#include "formulas/readout.h"

#include <mutex>
#include <utility>
#include <vector>

namespace lmp_uq {

template <class T> class MaceEngine : public Engine {
 public:
  MaceEngine(Architecture architecture, Tensors tensors, double table_tolerance, int n_threads);

  void prepare(const std::vector<int> &elements, std::shared_ptr<TableStore> store) override;
  double table_bytes_of(const std::vector<int> &elements) const override;
  const Architecture &shape() const override { return weights_.shape(); }
  const char *instruction_set() const override { return layers_[0]->kernels().name; }
  std::size_t table_bytes() const override;
  std::size_t n_bytes() const override;
  int n_threads() const override { return n_threads_; }
  std::unique_ptr<State> evaluate(const AtomGraph &graph, const GhostExchange &exchange, bool keep, double *energies,
                                  double *descriptors) override;
  int exchange_width(int n_sets) const override;
  void pull(const State &state, const GhostExchange &exchange, int n_sets, const double *energy_weights, const double *descriptor_weights,
            double *gradients) override;

  // a state of another precision's engine of the same model, for this one
  template <class U> std::unique_ptr<State> adopt(const State &other, const MaceEngine<U> &owner);

 private:
  template <class U> friend class MaceEngine;
  struct LayerState {
    Aligned<T> products_in;          // A (n_local, (l_max+1)^2, C) where the layer keeps it
    Aligned<T> before_gate;          // (n_local, n_before_gate, C), nonlinear layers
    Aligned<T> features;             // x, layers > 0, ordered by blocks: see BlockedRows
    Aligned<T> scalars;              // h_0 (n_local, C) where the readout is gated or biased
    std::vector<double> norm;        // of a centre's sum over its neighbours (n_local)
  };
  // Arrays of a state that is gone, for the next: large ones would be given back to the system and cleared by it in every step.
  struct Spare {
    std::mutex mutex;
    std::vector<LayerState> layers;
  };
  struct Evaluated : State {
    Evaluated(std::shared_ptr<const SortedGraph> g, std::shared_ptr<Spare> s);
    ~Evaluated() override;
    std::size_t n_bytes() const override { return graph.n_bytes() + bytes_of_layers(layers); }
    std::shared_ptr<const SortedGraph> shared;
    const SortedGraph &graph;
    std::shared_ptr<Spare> spare;
    std::vector<LayerState> layers;
  };
  static std::size_t bytes_of_layers(const std::vector<LayerState> &layers)
  {
    std::size_t n = 0;
    for (const LayerState &layer : layers) n += bytes_of(layer.products_in, layer.before_gate, layer.features, layer.scalars, layer.norm);
    return n;
  }
  struct Scratch {                                   // of a thread: what belongs to the batch that it is at
    BatchEdges<T> edges;
    Aligned<T> first_in, messages, products, features;         // first_in: A where it is not kept; features: what the layer gives
    Aligned<T> gated, before_gate, own;              // of nonlinear layers; the last two are gradients, own: of what the atoms themselves send
    Aligned<T> features_out, gradient_in;            // gradients of these features and of A
    Aligned<double> edge_gradient;
    std::vector<T> norm;
    std::vector<double> overlap;
    Aligned<T> feature_gradient;                     // what its batches add to the gradient of x, n_sets rows for a slot
    int n_slots = 0;
    std::size_t n_bytes() const
    {
      return edges.n_bytes() + bytes_of(first_in, messages, products, features, gated, before_gate, own, features_out, gradient_in, edge_gradient, norm, overlap,
                                        feature_gradient);
    }
  };
  struct Workspace {
    explicit Workspace(int n_threads) : threads(n_threads) {}
    std::vector<Scratch> threads;
    Aligned<T> before, after;                        // what skips take of the features before and after a layer, or give to their gradients
    Aligned<T> sent;                                 // gradient of x of the next layer
    Aligned<T> own;                                  // what an atom itself adds to that of x of a nonlinear layer, n_sets rows for it
    Aligned<T> &feature_gradient() { return threads[0].feature_gradient; }    // the sum, once add_up() was called
  };
  struct Weighting {                                 // a few of pull's sets
    int n_sets;
    const double *energy, *descriptors;
    double *gradients;
  };

  struct Task {                                      // a table to make, of pairs of equal functions
    Layer<T> *layer;
    typename Layer<T>::Pairs pairs;
    std::unique_ptr<RadialKnots> knots;
  };

  void prepare(const SortedGraph &graph);
  void add_tasks(int centre, int source, std::vector<Task> &tasks);
  bool make_tables(std::vector<Task> &tasks, TableStore &store);
  // work(batch, scratch) on every batch, each thread its share
  template <class F> void over_batches(const SortedGraph &graph, Workspace &w, const F &work) const
  {
    in_parallel(n_threads_, [&](int thread) {
      for (int b = graph.share[thread]; b < graph.share[thread + 1]; ++b) work(graph.batches[b], w.threads[thread]);
    });
  }
  int n_harmonics() const { return (shape().l_max + 1) * (shape().l_max + 1); }
  // rows of degree l in a batch's features of n components, counted from the component l*l, and in its messages
  Rows rows(int l, int n) const { return {2 * l + 1, static_cast<std::size_t>(n) * wide_, static_cast<std::size_t>(wide_), wide_, 0}; }
  // a component's paths lie together in each block, as in Packed
  Rows message_rows(const Paths &paths, int l, int n_centres) const
  {
    const int paths_of = paths.n_of[l] * block<T>();
    const std::size_t centre = static_cast<std::size_t>(paths.n_message) * block<T>();
    return {2 * l + 1, centre, static_cast<std::size_t>(paths_of), paths_of, n_centres * centre};
  }

  // a batch's sums over neighbours of degree l, or their gradients, in s.messages: where they start, and how they lie
  std::size_t first_sum(const Layer<T> &layer, int l) const
  {
    return layer.number() ? layer.paths().block[l] * block<T>() : static_cast<std::size_t>(l * l) * layer.sent_wide();
  }
  Rows sum_rows(const Layer<T> &layer, int l, int n_centres) const
  {
    if (layer.number()) return message_rows(layer.paths(), l, n_centres);
    const int wide = layer.sent_wide();
    return {2 * l + 1, static_cast<std::size_t>(n_harmonics()) * wide, static_cast<std::size_t>(wide), wide, 0};
  }
  std::size_t sums_size(const Layer<T> &layer, int n_centres) const
  {
    return static_cast<std::size_t>(n_centres) * (layer.number() ? layer.paths().n_message : n_harmonics()) * layer.sent_wide();
  }

  // x of a layer, or its gradients
  BlockedRows<T> features_of(const Layer<T> &layer, const SortedGraph &graph, int n_sets = 1) const
  {
    return {graph.n_nodes, layer.n_in(), n_sets};
  }

  // forward
  void resize(const Layer<T> &layer, const Layer<T> *next, bool keep, Evaluated &state, Workspace &w) const;
  void sum_messages(const Layer<T> &layer, const LayerState &kept, int n_nodes, int n, Scratch &s, T *out) const;
  void gate_messages(const Layer<T> &layer, LayerState &kept, const SortedGraph &graph, const Batch &batch, Scratch &s, T *out) const;
  void close_gate(const T *before, int n, T *out) const;
  void update_features(const Layer<T> &layer, const Batch &batch, const T *in, const Workspace &w, Scratch &s) const;
  void read_out(const Layer<T> &layer, Evaluated &state, const Batch &batch, const Scratch &s, double *energies, double *descriptors) const;
  double energy_of(const Layer<T> &layer, const T *scalars) const;
  GatedReadout gated_readout(const Layer<T> &layer) const
  {
    return {shape().n_channels, shape().n_gate, layer.readout_gate().data(), layer.readout_gated().data(), shape().gate};
  }
  void send(const Layer<T> &next, Evaluated &state, const Batch &batch, Workspace &w, const Scratch &s) const;
  void add_atomic_energies(const Evaluated &state, double *energies) const;
  void add_repulsion(const Evaluated &state, double *energies) const;
  void fill_ghosts(const Layer<T> &layer, const SortedGraph &graph, const GhostExchange &exchange, Aligned<T> &features) const;

  // reverse
  void pull(const Evaluated &state, const GhostExchange &exchange, const Weighting &weighting, Workspace &w) const;
  void features_gradient(const Layer<T> &layer, const Evaluated &state, const Batch &batch, const Weighting &weighting, const Workspace &w,
                         Scratch &s) const;
  void sent_gradient(const Layer<T> &next, const SortedGraph &graph, const Batch &batch, int n_sets, const Workspace &w, Scratch &s) const;
  void add_readout_gradient(const Layer<T> &layer, const Evaluated &state, const Batch &batch, const Weighting &weighting, Scratch &s) const;
  void energy_gradient(const Layer<T> &layer, const LayerState &state, int row, std::vector<double> &out) const;
  const T *summed_messages(const Layer<T> &layer, const Evaluated &state, const Batch &batch, Scratch &s) const;
  void products_gradient(const Layer<T> &layer, const Evaluated &state, const Batch &batch, int n_sets, Scratch &s) const;
  void gate_gradient(const Layer<T> &layer, const Evaluated &state, const Batch &batch, int n_sets, Workspace &w, Scratch &s) const;
  void open_gate(const T *before, int n, const T *gradient, T *out) const;
  void own_gradient(const Layer<T> &layer, const Evaluated &state, const Batch &batch, int set, int n_sets, Workspace &w, Scratch &s) const;
  void add_own(const Layer<T> &layer, const SortedGraph &graph, int n_sets, std::int64_t first, std::int64_t last, Workspace &w) const;
  void messages_gradient(const Layer<T> &layer, const Batch &batch, int n_sets, Scratch &s) const;
  void edges_gradient(const Layer<T> &layer, const Evaluated &state, const Batch &batch, const Weighting &weighting, Scratch &s) const;
  void skip_gradient(const Layer<T> &layer, const SortedGraph &graph, const Batch &batch, int n_sets, Workspace &w, const Scratch &s) const;
  void clear_feature_gradients(const Layer<T> &layer, const SortedGraph &graph, int n_sets, Workspace &w) const;
  void add_up(const Layer<T> &layer, const SortedGraph &graph, int n_sets, Workspace &w) const;
  void add_repulsion_gradient(const Evaluated &state, const Weighting &weighting) const;
  void gather_ghosts(const Layer<T> &layer, const SortedGraph &graph, const GhostExchange &exchange, int n_sets, Aligned<T> &gradient) const;

  const Repulsion &repulsion(int centre, int source) const { return repulsion_[centre * static_cast<std::size_t>(shape().n_elements()) + source]; }
  std::unique_ptr<Workspace> borrow();
  void give_back(std::unique_ptr<Workspace> w);

  Weights weights_;
  int wide_;                                         // padded channels
  int n_threads_;
  double scale_, shift_;
  std::vector<double> atomic_energies_;
  std::vector<Repulsion> repulsion_;                 // (n_elements, n_elements)
  std::vector<std::unique_ptr<Layer<T>>> layers_;
  std::vector<std::shared_ptr<TableStore>> stores_;  // of the tables
  mutable std::mutex mutex_;                         // of what is prepared and of the idle workspaces
  std::vector<std::unique_ptr<Workspace>> idle_;
  std::shared_ptr<Spare> spare_ = std::make_shared<Spare>();
};

}    // namespace lmp_uq
#endif
