// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cpu/mixed_engine.h"

#include <algorithm>
#include <utility>

namespace lmp_uq {

struct MixedEngine::Both : State {
  std::unique_ptr<State> exact;
  std::size_t n_bytes() const override
  {
    const std::lock_guard<std::mutex> lock(mutex);
    return exact->n_bytes() + (single ? single->n_bytes() : 0);
  }
  mutable std::mutex mutex;
  mutable std::unique_ptr<State> single;    // made by the first pull that asks for it
};

MixedEngine::MixedEngine(const Architecture &architecture, const Tensors &tensors, double tolerance, double single_tolerance, int n_threads)
    : exact_(architecture, tensors, tolerance, n_threads), single_(architecture, tensors, single_tolerance, n_threads)
{
}

void MixedEngine::prepare(const std::vector<int> &elements, std::shared_ptr<TableStore> store)
{
  exact_.prepare(elements, store);
  single_.prepare(elements, std::move(store));
}

std::unique_ptr<Engine::State> MixedEngine::evaluate(const AtomGraph &graph, const GhostExchange &exchange, bool keep, double *energies,
                                                     double *descriptors)
{
  auto state = std::make_unique<Both>();
  state->exact = exact_.evaluate(graph, exchange, keep, energies, descriptors);
  if (!keep) state.reset();
  return state;
}

void MixedEngine::pull(const State &state, const GhostExchange &exchange, int n_sets, const double *energy_weights,
                       const double *descriptor_weights, double *gradients)
{
  const Both &both = dynamic_cast<const Both &>(state);
  if (energy_weights) return exact_.pull(*both.exact, exchange, n_sets, energy_weights, descriptor_weights, gradients);
  {
    const std::lock_guard<std::mutex> lock(both.mutex);
    if (!both.single) both.single = single_.adopt(*both.exact, exact_);
  }
  single_.pull(*both.single, exchange, n_sets, nullptr, descriptor_weights, gradients);
}

namespace {

// the first n numbers of rows that are padded differently
template <class To, class From>
void convert(std::int64_t n_rows, int n, const Aligned<From> &from, int from_wide, Aligned<To> &to, int to_wide, int n_threads)
{
  to.resize(static_cast<std::size_t>(n_rows) * to_wide);
  over_rows(n_threads, n_rows, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      const From *in = from.data() + row * from_wide;
      To *out = to.data() + row * to_wide;
      for (int c = 0; c < n; ++c) out[c] = static_cast<To>(in[c]);
      std::fill(out + n, out + to_wide, To(0));
    }
  });
}

template <class To, class From>
void convert(const BlockedRows<From> &from_rows, const Aligned<From> &from, const BlockedRows<To> &to_rows, Aligned<To> &to, int n, int to_wide,
             int n_threads)
{
  to.zero(to_rows.size(to_wide));
  over_rows(n_threads, from_rows.n_nodes, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t node = first; node < last; ++node)
      for (int m = 0; m < from_rows.n_components; ++m)
        for (int c = 0; c < n; ++c) to[to_rows.offset(node, 0, m, c)] = static_cast<To>(from[from_rows.offset(node, 0, m, c)]);
  });
}

}    // namespace

template <class T>
template <class U>
std::unique_ptr<Engine::State> MaceEngine<T>::adopt(const State &other, const MaceEngine<U> &owner)
{
  const auto &from = dynamic_cast<const typename MaceEngine<U>::Evaluated &>(other);
  auto state = std::make_unique<Evaluated>(from.shared, spare_);
  prepare(state->graph);
  state->layers.resize(layers_.size());
  for (std::size_t t = 0; t < layers_.size(); ++t) {
    const auto &kept = from.layers[t];
    LayerState &mine = state->layers[t];
    const auto copy = [&](const Aligned<U> &in, std::int64_t n_rows, Aligned<T> &out) {
      if (in.size()) convert(n_rows, shape().n_channels, in, owner.wide_, out, wide_, n_threads_);
    };
    if (kept.before_gate.size())
      copy(kept.before_gate, static_cast<std::int64_t>(state->graph.n_local) * layers_[t]->n_before_gate(), mine.before_gate);
    copy(kept.products_in, static_cast<std::int64_t>(state->graph.n_local) * n_harmonics(), mine.products_in);
    if (kept.features.size())
      convert(owner.features_of(*owner.layers_[t], from.graph), kept.features, features_of(*layers_[t], state->graph), mine.features,
              layers_[t]->n_sent(), layers_[t]->sent_wide(), n_threads_);
    copy(kept.scalars, state->graph.n_local, mine.scalars);
    mine.norm = kept.norm;
  }
  return state;
}

template std::unique_ptr<Engine::State> MaceEngine<float>::adopt(const State &, const MaceEngine<double> &);

}    // namespace lmp_uq
