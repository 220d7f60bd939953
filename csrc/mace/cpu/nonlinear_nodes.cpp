// SPDX-License-Identifier: GPL-2.0-or-later
// What a nonlinear layer does on each atom between its sums over neighbours and its products, and its transpose.
//   p = nu Lin_1 M + Res u    u: what the atom itself sends; p has components of gates behind the features
//   A = Lin_2 gate(p)         gate: silu of scalars, sigmoid of its gate times each feature of higher degree
#include "mace/cpu/mace_engine.h"

#include "formulas/activations.h"

#include <vector>

namespace lmp_uq {

// p, kept, and A in `out`; s.messages holds nu M of the batch
template <class T>
void MaceEngine<T>::gate_messages(const Layer<T> &layer, LayerState &kept, const SortedGraph &graph, const Batch &batch, Scratch &s,
                                  T *out) const
{
  const int n = batch.last - batch.first, n_y = n_harmonics(), n_before = layer.n_before_gate();
  const GateMaps<T> &maps = layer.gate();
  T *before = kept.before_gate.data() + static_cast<std::size_t>(batch.first) * n_before * wide_;
  const auto add_maps = [&](const std::vector<Linear<T>> &features, const std::vector<Linear<T>> &gates, const T *from, const auto &place,
                            const auto &lie, bool add) {
    for (std::size_t l = 0; l < features.size(); ++l)
      layer.kernels().gemm(features[l].forward.product(n * (2 * l + 1), from + place(l), lie(l), before + l * l * wide_, rows(l, n_before), add));
    for (std::size_t g = 0; g < gates.size(); ++g)
      layer.kernels().gemm(gates[g].forward.product(n, from + place(0), lie(0), before + (n_y + g) * wide_, rows(0, n_before), add));
  };
  add_maps(maps.message, maps.message_gates, s.messages.data(), [&](int l) { return first_sum(layer, l); },
           [&](int l) { return sum_rows(layer, l, n); }, false);
  if (layer.number() > 0) {
    const BlockedRows<T> sent = features_of(layer, graph);
    add_maps(maps.source, maps.source_gates, kept.features.data(), [&](int l) { return sent.offset(batch.first, 0, l * l); },
             [&](int l) { return sent.of_degree(l); }, true);
  } else {
    const T *constant = layer.element(batch.element).constant_source.data();
    for (int i = 0; i < n; ++i)
      for (int part = 0; part <= shape().l_max; ++part) {
        T *to = before + (static_cast<std::size_t>(i) * n_before + (part ? n_y + part - 1 : 0)) * wide_;
        for (int c = 0; c < wide_; ++c) to[c] += constant[part * wide_ + c];
      }
  }
  s.gated.resize(static_cast<std::size_t>(n) * n_y * wide_);
  close_gate(before, n, s.gated.data());
  for (int l = 0; l <= shape().l_max; ++l)
    layer.kernels().gemm(maps.mixing[l].forward.product(n * (2 * l + 1), s.gated.data() + l * l * wide_, rows(l, n_y), out + l * l * wide_,
                                                        rows(l, n_y), false));
}

// gate(p) of n atoms
template <class T> void MaceEngine<T>::close_gate(const T *before, int n, T *out) const
{
  const int l_max = shape().l_max, n_y = n_harmonics();
  std::vector<T> gates(wide_);
  for (int i = 0; i < n; ++i, before += static_cast<std::size_t>(n_y + l_max) * wide_, out += static_cast<std::size_t>(n_y) * wide_) {
    for (int c = 0; c < wide_; ++c) out[c] = static_cast<T>(silu(static_cast<double>(before[c]), shape().gate_silu_constant));
    for (int l = 1; l <= l_max; ++l) {
      const T *argument = before + (n_y + l - 1) * wide_;
      for (int c = 0; c < wide_; ++c) gates[c] = static_cast<T>(gate_of(argument[c], shape().gate_sigmoid_constant).value);
      for (int k = l * l * wide_; k < (l + 1) * (l + 1) * wide_; k += wide_)
        for (int c = 0; c < wide_; ++c) out[k + c] = gates[c] * before[k + c];
    }
  }
}

// gradient of p from that of gate(p)
template <class T> void MaceEngine<T>::open_gate(const T *before, int n, const T *gradient, T *out) const
{
  const int l_max = shape().l_max, n_y = n_harmonics();
  const std::size_t row = static_cast<std::size_t>(n_y) * wide_, row_before = static_cast<std::size_t>(n_y + l_max) * wide_;
  std::vector<T> gates(wide_), slopes(wide_), along(wide_);
  for (int i = 0; i < n; ++i, before += row_before, out += row_before, gradient += row) {
    for (int c = 0; c < wide_; ++c) out[c] = static_cast<T>(silu_slope(before[c], shape().gate_silu_constant * gradient[c]));
    for (int l = 1; l <= l_max; ++l) {
      const int at = (n_y + l - 1) * wide_;
      for (int c = 0; c < wide_; ++c) {
        const Gate gate = gate_of(before[at + c], shape().gate_sigmoid_constant);
        gates[c] = static_cast<T>(gate.value);
        slopes[c] = static_cast<T>(gate.slope);
        along[c] = T(0);
      }
      for (int k = l * l * wide_; k < (l + 1) * (l + 1) * wide_; k += wide_)
        for (int c = 0; c < wide_; ++c) {
          along[c] += before[k + c] * gradient[k + c];
          out[k + c] = gates[c] * gradient[k + c];
        }
      for (int c = 0; c < wide_; ++c) out[at + c] = slopes[c] * along[c];
    }
  }
}

// From the gradient of A in s.gradient_in: that of the sums over neighbours, times nu, in s.messages, what is left for nu in s.overlap, and
// the atoms' own share in w.own.
template <class T>
void MaceEngine<T>::gate_gradient(const Layer<T> &layer, const Evaluated &state, const Batch &batch, int n_sets, Workspace &w, Scratch &s) const
{
  const int n = batch.last - batch.first, n_y = n_harmonics(), n_before = layer.n_before_gate();
  const std::size_t row = static_cast<std::size_t>(n_before) * wide_, set_in = static_cast<std::size_t>(n) * n_y * wide_;
  const GateMaps<T> &maps = layer.gate();
  const LayerState &kept = state.layers[layer.number()];
  const T *before = kept.before_gate.data() + batch.first * row;
  s.gated.resize(set_in);
  s.before_gate.resize(n * row);
  s.messages.resize(n_sets * sums_size(layer, n));
  for (int set = 0; set < n_sets; ++set) {
    for (int l = 0; l <= shape().l_max; ++l)
      layer.kernels().gemm(maps.mixing[l].reverse.product(n * (2 * l + 1), s.gradient_in.data() + set * set_in + l * l * wide_, rows(l, n_y),
                                                          s.gated.data() + l * l * wide_, rows(l, n_y), false));
    open_gate(before, n, s.gated.data(), s.before_gate.data());
    double *overlap = s.overlap.data() + static_cast<std::size_t>(set) * n;
    for (int i = 0; i < n; ++i) {
      overlap[i] = 0.0;
      for (std::size_t k = 0; k < row; ++k) overlap[i] += static_cast<double>(before[i * row + k]) * s.before_gate[i * row + k];
    }
    own_gradient(layer, state, batch, set, n_sets, w, s);
    for (int i = 0; i < n; ++i) {
      overlap[i] *= layer.norm_slope();
      const T norm = static_cast<T>(kept.norm[batch.first + i]);
      for (std::size_t k = 0; k < row; ++k) s.before_gate[i * row + k] *= norm;
    }
    T *out = s.messages.data() + set * sums_size(layer, n);
    for (int l = 0; l <= shape().l_max; ++l)
      layer.kernels().gemm(maps.message[l].reverse.product(n * (2 * l + 1), s.before_gate.data() + l * l * wide_, rows(l, n_before),
                                                           out + first_sum(layer, l), sum_rows(layer, l, n), false));
    for (std::size_t g = 0; g < maps.message_gates.size(); ++g)
      layer.kernels().gemm(maps.message_gates[g].reverse.product(n, s.before_gate.data() + (n_y + g) * wide_, rows(0, n_before),
                                                                 out + first_sum(layer, 0), sum_rows(layer, 0, n), true));
  }
}

// What the atoms themselves send has a share in p that is not times nu: it comes off the overlap, and its gradient is added to x's.
template <class T>
void MaceEngine<T>::own_gradient(const Layer<T> &layer, const Evaluated &state, const Batch &batch, int set, int n_sets, Workspace &w,
                                 Scratch &s) const
{
  const int n = batch.last - batch.first, n_y = n_harmonics(), n_before = layer.n_before_gate();
  const T *gradient = s.before_gate.data();
  double *overlap = s.overlap.data() + static_cast<std::size_t>(set) * n;
  if (layer.number() == 0) {
    const T *constant = layer.element(batch.element).constant_source.data();
    for (int i = 0; i < n; ++i)
      for (int part = 0; part <= shape().l_max; ++part) {
        const T *from = gradient + (static_cast<std::size_t>(i) * n_before + (part ? n_y + part - 1 : 0)) * wide_;
        for (int c = 0; c < wide_; ++c) overlap[i] -= static_cast<double>(from[c]) * constant[part * wide_ + c];
      }
    return;
  }
  const GateMaps<T> &maps = layer.gate();
  const BlockedRows<T> own{n, layer.n_in()}, sent = features_of(layer, state.graph), target{state.graph.n_local, layer.n_in(), n_sets};
  s.own.resize(own.size(layer.sent_wide()));
  for (std::size_t l = 0; l < maps.source.size(); ++l)
    layer.kernels().gemm(maps.source[l].reverse.product(n * (2 * l + 1), gradient + l * l * wide_, rows(l, n_before),
                                                        s.own.data() + own.offset(0, 0, l * l), own.of_degree(l), false));
  for (std::size_t g = 0; g < maps.source_gates.size(); ++g)
    layer.kernels().gemm(maps.source_gates[g].reverse.product(n, gradient + (n_y + g) * wide_, rows(0, n_before), s.own.data(),
                                                              own.of_degree(0), true));
  const int size = layer.n_in() * block<T>();
  for (int c = 0; c < layer.sent_wide(); c += block<T>())
    for (int i = 0; i < n; ++i) {
      const T *from = s.own.data() + own.offset(i, 0, 0, c), *x = state.layers[layer.number()].features.data() + sent.offset(batch.first + i, 0, 0, c);
      T *to = w.own.data() + target.offset(batch.first + i, set, 0, c);
      for (int k = 0; k < size; ++k) {
        overlap[i] -= static_cast<double>(from[k]) * x[k];
        to[k] = from[k];
      }
    }
}

// to the gradient of x of the rows first .. last
template <class T>
void MaceEngine<T>::add_own(const Layer<T> &layer, const SortedGraph &graph, int n_sets, std::int64_t first, std::int64_t last, Workspace &w) const
{
  const BlockedRows<T> own{graph.n_local, layer.n_in(), n_sets}, all = features_of(layer, graph, n_sets);
  const int length = n_sets * layer.n_in() * block<T>();
  for (int c = 0; c < layer.sent_wide(); c += block<T>())
    for (std::int64_t row = first; row < last; ++row) {
      const T *from = w.own.data() + own.offset(row, 0, 0, c);
      T *to = w.feature_gradient().data() + all.offset(row, 0, 0, c);
      for (int k = 0; k < length; ++k) to[k] += from[k];
    }
}

template class MaceEngine<float>;
template class MaceEngine<double>;

}    // namespace lmp_uq
