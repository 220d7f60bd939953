// SPDX-License-Identifier: GPL-2.0-or-later
// What a nonlinear layer does on each atom between its sums over neighbours and its products, and its transpose: see
// mace/cpu/nonlinear_nodes.cpp for p and its parts.
#include "mace/cuda/cuda_engine.h"

namespace lmp_uq::cuda {

// p, kept, and A in `out`; work_.messages holds nu M of the chunk
template <class T> void CudaEngine<T>::gate_messages(const Layer &layer, Evaluated &state, const Chunk &chunk, T *out)
{
  LayerState &kept = state.layers[layer.number()];
  const int n = chunk.n(), n_y = n_harmonics(), n_before = layer.model().n_before_gate(), l_max = shape().l_max;
  const GateMatrices<T> &maps = layer.gate();
  T *before = kept.before_gate.data() + static_cast<std::size_t>(chunk.first) * n_before * wide();
  const auto to = [&](int component) { return before + component * wide(); };
  for (int l = 0; l <= l_max; ++l)
    maps.message[l].times(n * (2 * l + 1), work_.messages.data() + first_sum(layer, l), sum_rows(layer, l), to(l * l), rows(l, n_before, wide()), false,
                          stream_);
  for (int g = 0; g < l_max; ++g)
    maps.message_gates[g].times(n, work_.messages.data() + first_sum(layer, 0), sum_rows(layer, 0), to(n_y + g), rows(0, n_before, wide()), false, stream_);
  if (layer.number() == 0) {
    for (int part = 0; part <= l_max; ++part)
      add_constants<T>({n, n_before, part ? n_y + part - 1 : 0, wide(), part, state.graph.element() + chunk.first, layer.constant_source(), before}, stream_);
  } else {
    const int n_in = layer.model().n_in(), sent = layer.sent_wide();
    const T *x = kept.features.data() + static_cast<std::size_t>(chunk.first) * n_in * sent;
    for (std::size_t l = 0; l < maps.source.size(); ++l)
      maps.source[l].times(n * (2 * l + 1), x + l * l * sent, rows(l, n_in, sent), to(l * l), rows(l, n_before, wide()), true, stream_);
    for (std::size_t g = 0; g < maps.source_gates.size(); ++g)
      maps.source_gates[g].times(n, x, rows(0, n_in, sent), to(n_y + g), rows(0, n_before, wide()), true, stream_);
  }
  work_.gated.resize(static_cast<std::size_t>(n) * n_y * wide());
  close_gate<T>({gate_constants(), n, wide(), before, work_.gated.data()}, stream_);
  for (int l = 0; l <= l_max; ++l)
    maps.mixing[l].times(n * (2 * l + 1), work_.gated.data() + l * l * wide(), rows(l, n_y, wide()), out + l * l * wide(), rows(l, n_y, wide()), false, stream_);
}

// From the gradient of A in work_.gradient_in: that of the sums over neighbours, times nu, in work_.messages, what is left for nu in
// work_.overlap, and the atoms' own share in work_.own.
template <class T> void CudaEngine<T>::gate_gradient(const Layer &layer, const Evaluated &state, const Chunk &chunk, int n_sets)
{
  const LayerState &kept = state.layers[layer.number()];
  const int n = chunk.n(), n_rows = n_sets * n, n_y = n_harmonics(), n_before = layer.model().n_before_gate(), l_max = shape().l_max;
  const std::size_t row = static_cast<std::size_t>(n_before) * wide(), n_local = state.graph.n_local();
  const GateMatrices<T> &maps = layer.gate();
  const T *before = kept.before_gate.data() + chunk.first * row;
  double *overlap = work_.overlap.data() + chunk.first;
  work_.gated.resize(static_cast<std::size_t>(n_rows) * n_y * wide());
  work_.before_gate.resize(n_rows * row);
  work_.messages.resize(n_rows * sum_size(layer));
  for (int l = 0; l <= l_max; ++l)
    maps.mixing[l].times_transposed(n_rows * (2 * l + 1), work_.gradient_in.data() + l * l * wide(), rows(l, n_y, wide()), work_.gated.data() + l * l * wide(),
                                    rows(l, n_y, wide()), false, stream_);
  open_gate<T>({gate_constants(), n, n_sets, wide(), before, work_.gated.data(), work_.before_gate.data()}, stream_);
  row_overlap<T>({n, n_sets, row, n_local, 1.0, false, before, work_.before_gate.data(), overlap}, stream_);
  own_gradient(layer, state, chunk, n_sets);
  scale_rows<T>({n, n_sets, row, n_local, kept.norm.data() + chunk.first, layer.model().norm_slope(), work_.before_gate.data(), overlap}, stream_);
  for (int l = 0; l <= l_max; ++l)
    maps.message[l].times_transposed(n_rows * (2 * l + 1), work_.before_gate.data() + l * l * wide(), rows(l, n_before, wide()),
                                     work_.messages.data() + first_sum(layer, l), sum_rows(layer, l), false, stream_);
  for (int g = 0; g < l_max; ++g)
    maps.message_gates[g].times_transposed(n_rows, work_.before_gate.data() + (n_y + g) * wide(), rows(0, n_before, wide()),
                                           work_.messages.data() + first_sum(layer, 0), sum_rows(layer, 0), true, stream_);
}

// What the atoms themselves send has a share in p that is not times nu: it comes off the overlap.
template <class T> void CudaEngine<T>::own_gradient(const Layer &layer, const Evaluated &state, const Chunk &chunk, int n_sets)
{
  const int n = chunk.n(), n_rows = n_sets * n, n_before = layer.model().n_before_gate(), n_y = n_harmonics();
  const std::size_t n_local = state.graph.n_local();
  const T *gradient = work_.before_gate.data();
  double *overlap = work_.overlap.data() + chunk.first;
  if (layer.number() == 0) {
    constant_overlap<T>({n, n_sets, n_before, wide(), shape().l_max, n_local, state.graph.element() + chunk.first, layer.constant_source(), gradient, overlap},
                        stream_);
    return;
  }
  const GateMatrices<T> &maps = layer.gate();
  const int n_in = layer.model().n_in(), sent = layer.sent_wide();
  const std::size_t size = static_cast<std::size_t>(n_in) * sent;
  work_.own.resize(n_rows * size);
  for (std::size_t l = 0; l < maps.source.size(); ++l)
    maps.source[l].times_transposed(n_rows * (2 * l + 1), gradient + l * l * wide(), rows(l, n_before, wide()), work_.own.data() + l * l * sent,
                                    rows(l, n_in, sent), false, stream_);
  for (std::size_t g = 0; g < maps.source_gates.size(); ++g)
    maps.source_gates[g].times_transposed(n_rows, gradient + (n_y + g) * wide(), rows(0, n_before, wide()), work_.own.data(), rows(0, n_in, sent), true, stream_);
  row_overlap<T>({n, n_sets, size, n_local, -1.0, true, state.layers[layer.number()].features.data() + chunk.first * size, work_.own.data(), overlap}, stream_);
}

// to the gradient of x of the chunk's atoms, which the sum over their edges has begun
template <class T> void CudaEngine<T>::add_own(const Layer &layer, const Evaluated &state, const Chunk &chunk, int n_sets)
{
  const std::size_t size = static_cast<std::size_t>(layer.model().n_in()) * layer.sent_wide(), n = chunk.n();
  for (int set = 0; set < n_sets; ++set)
    copy_rows<T>({1, n * size, 0, 0, work_.own.data() + set * n * size,
                  feature_gradient(layer).data() + (static_cast<std::size_t>(set) * state.graph.n_nodes() + chunk.first) * size, true}, stream_);
}

template class CudaEngine<float>;
template class CudaEngine<double>;

}    // namespace lmp_uq::cuda
