// SPDX-License-Identifier: GPL-2.0-or-later
// The engine on a CUDA device, in one precision. Order of work as on the CPU (mace/cpu/mace_engine.h), a chunk of centres at a time.
#ifndef LMP_UQ_CUDA_ENGINE_H
#define LMP_UQ_CUDA_ENGINE_H

#include "mace/engine.h"
#include "mace/engine_calls.h"
#include "mace/passes.h"
#include "mace/cuda/device_layer.h"
#include "mace/cuda/recording.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>

namespace lmp_uq::cuda {

class Stream {
 public:
  // does not wait for the default stream: others of this process could not use that while launches are recorded
  Stream() { require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { static_cast<void>(cudaStreamDestroy(stream_)); }
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;
  operator cudaStream_t() const { return stream_; }
  void wait() const { require(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_;
};

// Centres first .. last and their edges, with the ranges of rows of one element.
struct Chunk {
  struct Range {
    int element, first, last;
  };
  int first, last, first_edge, last_edge;
  std::vector<Range> ranges;
  int n() const { return last - first; }
  int n_edges() const { return last_edge - first_edge; }
};
std::vector<Chunk> cut(const DeviceGraph &graph, int most_centres);

template <class T> class CudaHead;

template <class T> class CudaEngine : public ListEngine {
 public:
  CudaEngine(Architecture architecture, Tensors tensors, const lmp_uq_engine_options &options);

  void prepare(const std::vector<int> &elements, std::shared_ptr<TableStore> store) override;
  double table_bytes_of(const std::vector<int> &elements) const override;
  const Architecture &shape() const override { return weights_.shape(); }
  const char *instruction_set() const override { return "CUDA"; }
  std::size_t table_bytes() const override;
  std::size_t n_bytes() const override;
  int n_threads() const override { return n_threads_; }
  int exchange_width(int n_sets) const override;
  std::unique_ptr<State> evaluate(const AtomGraph &graph, const GhostExchange &exchange, bool keep, double *energies,
                                  double *descriptors) override;
  void pull_to(const State &state, const GhostExchange &exchange, int n_sets, const PullWeights &weights, const Pulled &out) override;
  std::unique_ptr<Head> make_head(const lmp_uq_head_matrices &matrices) override;
  void descriptors(const State &state, double *out) override;

 private:
  friend class CudaHead<T>;
  using Layer = DeviceLayer<T>;
  struct LayerState {
    DeviceArray<T> products_in;        // A (n_local, (l_max+1)^2, C) where the layer keeps it
    DeviceArray<T> before_gate;        // (n_local, n_before_gate, C), nonlinear layers
    DeviceArray<T> features;           // x (n_nodes, (l_in+1)^2, n_sent), layers > 0
    DeviceArray<double> norm;          // of a centre's sum over its neighbours (n_local)
    OwnRows<T> own;
    CommonShape common;                // layer 0
  };
  struct Kept {
    DeviceGraph graph;
    std::vector<LayerState> layers;
    DeviceArray<T> descriptors;        // (n_local, n_features)
    DeviceArray<double> energies;      // (n_local); none where they were not wanted
    bool has_own_rows() const    // of this step alone
    {
      return std::any_of(layers.begin(), layers.end(), [](const LayerState &s) { return s.own.of_edge.size() > 0; });
    }
  };
  // Arrays of a state that is gone, for the next: a device takes its time to give memory, and waits for all work first.
  struct Spare {
    std::mutex mutex;
    Kept kept;
  };
  struct Evaluated : State, Kept {
    explicit Evaluated(std::shared_ptr<Spare> s);
    ~Evaluated() override;
    std::size_t n_bytes() const override;
    void forget_derivatives() override;
    std::shared_ptr<Spare> spare;
  };
  struct Workspace {                   // of a chunk, but for what is said to be of all
    DeviceArray<T> harmonics, t, common, first_in, messages, products, features, gated, before_gate, own, edge_sums, edge_features;
    DeviceArray<const T *> row;
    DeviceArray<double> per_length, density, density_slope, work, slope, parts;
    // Of all, by the parity of the layer that takes it: what its skip takes of the features before it, or gives to their gradients; gradients of x
    DeviceArray<T> skip[2], feature_gradient[2];
    DeviceArray<T> wanted;             // rows that an exchange asks for, or adds to
    DeviceArray<T> features_out, gradient_in;
    DeviceArray<double> overlap;       // of all (set, n_local)
    DeviceArray<double> gradients, by_number, forces, virials, virial_parts, weights[4];
    DeviceArray<int> n_uncovered;      // of each layer
    DeviceArray<Uncovered> uncovered;
  };
  struct Weighting {                   // a few of pull's sets
    int n_sets;
    PullWeights weights;               // on the device
  };

  // where a layer's scalars are among the descriptors, from a row on
  std::size_t scalars_at(const Layer &layer, int row) const { return static_cast<std::size_t>(row) * shape().n_features() + layer.number() * shape().n_channels; }
  GateConstants gate_constants() const { return {shape().l_max, shape().gate_silu_constant, shape().gate_sigmoid_constant}; }
  int n_harmonics() const { return (shape().l_max + 1) * (shape().l_max + 1); }
  int wide() const { return padded(shape().n_channels); }
  static Rows rows(int l, int n_components, int width)
  {
    return {2 * l + 1, static_cast<std::size_t>(n_components) * width, static_cast<std::size_t>(width)};
  }
  // a chunk's sums over neighbours of degree l, or their gradients: how they lie, and where they start
  Rows sum_rows(const Layer &layer, int l) const;
  std::size_t first_sum(const Layer &layer, int l) const;
  std::size_t sum_size(const Layer &layer) const;    // of a centre
  bool keeps_sums(const Layer &layer, const Evaluated &state) const;
  int most_centres(const DeviceList &list, std::size_t n_edges, int n_sets) const;
  std::vector<Chunk> chunks(const Evaluated &state, int n_sets) const;
  DeviceArray<T> &skip_before(const Layer &layer) { return work_.skip[layer.number() % 2]; }
  DeviceArray<T> &skip_after(const Layer &layer) { return work_.skip[(layer.number() + 1) % 2]; }
  DeviceArray<T> &feature_gradient(const Layer &layer) { return work_.feature_gradient[layer.number() % 2]; }

  const PairTable<T> *tables_of(const Layer &layer, const Evaluated &state) const
  {
    return state.layers[layer.number()].common.n_blocks ? layer.common().tables() : layer.tables();
  }
  EdgeBatch<T> prepare_chunk(const Layer &layer, const Evaluated &state, const Chunk &chunk);

  // forward
  std::shared_ptr<const DeviceList> list_of(const AtomGraph &graph);
  bool lasts(const DeviceList &list) const;
  void find_own_rows(Evaluated &state);
  void make_room(const Layer &layer, const Layer *next, Evaluated &state, bool keep);
  Recording &recording_of(const Layer &layer, const Weighting &weighting)
  {
    const PullWeights &w = weighting.weights;
    return reverse_[{layer.number(), weighting.n_sets, (w.energies != nullptr) + 2 * (w.descriptors != nullptr), (w.coefficients != nullptr) + 2 * (w.of_atoms != nullptr)}];
  }
  // work() at once, or by a recording where the list will come again
  template <class F> void repeatedly(Recording &recording, const Evaluated &state, const F &work)
  {
    if (!state.graph.is_lasting() || state.has_own_rows()) return work();
    const void *const arrays[] = {&state.graph.list(), state.graph.edges().start, state.layers.front().norm.data(), state.descriptors.data()};
    Recording::Key key;
    for (const void *p : arrays) key.push_back(reinterpret_cast<std::uintptr_t>(p));
    recording.run(stream_, std::move(key), work);
  }
  void run_chunk(const Layer &layer, const Layer *next, Evaluated &state, const Chunk &chunk, bool energies);
  void sum_messages(const Layer &layer, const Evaluated &state, const Chunk &chunk, const EdgeBatch<T> &edges, T *out);
  void gate_messages(const Layer &layer, Evaluated &state, const Chunk &chunk, T *out);
  void update_features(const Layer &layer, const Evaluated &state, const Chunk &chunk, const T *in);
  void read_out(const Layer &layer, Evaluated &state, const Chunk &chunk, bool energies);
  void download(const Evaluated &state, double *descriptors);
  void send(const Layer &next, Evaluated &state, const Chunk &chunk);
  void fill_ghosts(const Layer &layer, const DeviceList &list, const GhostExchange &exchange, DeviceArray<T> &features);

  // the first layer's edges
  CommonEdges<T> common_edges(const Layer &layer, const Evaluated &state, EdgeBatch<T> edges) const;
  CommonMix<T> common_mix_of(const Layer &layer, const Evaluated &state, const Chunk &chunk, bool back, int n_rows, const T *in, T *out) const;
  void sum_first(const Layer &layer, const Evaluated &state, const Chunk &chunk, const EdgeBatch<T> &edges, T *out);
  int first_gradient(const Layer &layer, const Evaluated &state, const Chunk &chunk, const EdgeBatch<T> &edges, int n_sets, const T *gradient);

  // reverse
  void pull_sets(const Evaluated &state, const GhostExchange &exchange, const Weighting &weighting);
  void pull_chunk(const Layer &layer, const Evaluated &state, const Weighting &weighting, const Chunk &chunk, bool first);
  void features_gradient(const Layer &layer, const Evaluated &state, const Weighting &weighting, const Chunk &chunk);
  void products_gradient(const Layer &layer, const Evaluated &state, const Chunk &chunk, const EdgeBatch<T> &edges, int n_sets);
  void gate_gradient(const Layer &layer, const Evaluated &state, const Chunk &chunk, int n_sets);
  void own_gradient(const Layer &layer, const Evaluated &state, const Chunk &chunk, int n_sets);
  void add_own(const Layer &layer, const Evaluated &state, const Chunk &chunk, int n_sets);
  void messages_gradient(const Layer &layer, const Chunk &chunk, int n_sets);
  void edges_gradient(const Layer &layer, const Evaluated &state, const Chunk &chunk, const EdgeBatch<T> &edges, int n_sets, bool first);
  void skip_gradient(const Layer &layer, const Evaluated &state, const Chunk &chunk, int n_sets);
  Weighting weighting_of(const PullWeights &weights, int first, int n_sets, std::size_t n_local);
  void hand_over(const Evaluated &state, int first, int n_sets, const Pulled &out);
  void gather_ghosts(const Layer &layer, const DeviceList &list, const GhostExchange &exchange, int n_sets, DeviceArray<T> &gradient);

  Weights weights_;
  int n_threads_;
  std::size_t memory_;                 // this process' share of the device's, bytes
  double scale_, shift_;
  Stream stream_;
  std::vector<double> atomic_energies_;
  DeviceArray<Repulsion> repulsion_;   // (n_elements, n_elements)
  std::vector<std::unique_ptr<Layer>> layers_;
  Workspace work_;
  std::shared_ptr<Spare> spare_ = std::make_shared<Spare>();
  std::shared_ptr<const DeviceList> list_;    // the last one with a number
  std::map<std::array<int, 2>, Recording> forward_;     // by layer, and what is asked for
  std::map<std::array<int, 4>, Recording> reverse_;
  PinnedArray<T> staged_, ghosts_;     // rows on the host, for an exchange: those that it asks for of local atoms, and all ghosts'
  mutable std::mutex mutex_;           // one evaluation or pull at a time
};

}    // namespace lmp_uq::cuda
#endif
