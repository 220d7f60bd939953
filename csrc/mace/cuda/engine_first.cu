// SPDX-License-Identifier: GPL-2.0-or-later
// The edges of the first layer: by tables of its radial functions, or by the functions that those have in common.
#include "mace/cuda/cuda_engine.h"

namespace lmp_uq::cuda {

// edges as the kernels of common functions want them, from those of the tables
template <class T> CommonEdges<T> CudaEngine<T>::common_edges(const Layer &layer, const Evaluated &state, EdgeBatch<T> edges) const
{
  const LayerState &kept = state.layers[0];
  edges.n_blocks = kept.common.n_blocks;
  return {edges, state.graph.element(), kept.own.view().of_edge, shape().n_elements(), layer.common().pairs(), kept.common.species};
}

template <class T>
CommonMix<T> CudaEngine<T>::common_mix_of(const Layer &layer, const Evaluated &state, const Chunk &chunk, bool back, int n_rows, const T *in, T *out) const
{
  const LayerState &kept = state.layers[0];
  return {back, n_rows, chunk.n(), layer.sent_wide(), kept.common.n_functions(), shape().n_elements(), state.graph.element() + chunk.first,
          back ? nullptr : kept.norm.data() + chunk.first, layer.common().pairs(), kept.common.species, in, out};
}

// scale_i sum_j R_l Y_lm (n, component, channel)
template <class T>
void CudaEngine<T>::sum_first(const Layer &layer, const Evaluated &state, const Chunk &chunk, const EdgeBatch<T> &edges, T *out)
{
  const LayerState &kept = state.layers[0];
  const int *exact = kept.own.view().of_edge;
  if (kept.common.n_blocks) {
    work_.common.resize(static_cast<std::size_t>(chunk.n()) * n_harmonics() * kept.common.n_functions());
    common_forward<T>({common_edges(layer, state, edges), work_.common.data()}, shape().l_max, stream_);
    common_mix<T>(common_mix_of(layer, state, chunk, false, chunk.n(), work_.common.data(), out), shape().l_max, stream_);
    if (!exact) return;
  }
  first_forward<T>({edges, kept.common.n_blocks ? exact : nullptr, kept.norm.data(), out}, shape().l_max, stream_);
}

// The edges' sums from the gradient (set, n, component, channel) of the sums over neighbours; how many parts they come in.
template <class T>
int CudaEngine<T>::first_gradient(const Layer &layer, const Evaluated &state, const Chunk &chunk, const EdgeBatch<T> &edges, int n_sets, const T *gradient)
{
  const LayerState &kept = state.layers[0];
  const int *exact = kept.own.view().of_edge;
  const bool tables = !kept.common.n_blocks || exact;
  const int n_parts = tables ? edges.n_blocks : 1, n_rows = n_sets * chunk.n();
  work_.edge_sums.resize(static_cast<std::size_t>(n_sets) * chunk.n_edges() * n_parts * MAX_HARMONICS);
  if (kept.common.n_blocks) {
    if (tables) work_.edge_sums.zero(stream_);
    work_.common.resize(static_cast<std::size_t>(n_rows) * n_harmonics() * kept.common.n_functions());
    common_mix<T>(common_mix_of(layer, state, chunk, true, n_rows, gradient, work_.common.data()), shape().l_max, stream_);
    common_reverse<T>({common_edges(layer, state, edges), n_sets, work_.common.data(), work_.edge_sums.data(), n_parts}, shape().l_max, stream_);
  }
  if (tables) first_reverse<T>({edges, kept.common.n_blocks ? exact : nullptr, n_sets, gradient, work_.edge_sums.data()}, shape().l_max, stream_);
  return n_parts;
}

template class CudaEngine<float>;
template class CudaEngine<double>;

}    // namespace lmp_uq::cuda
