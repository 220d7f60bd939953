// SPDX-License-Identifier: GPL-2.0-or-later
// Edges by themselves: what the loops need of each, and what comes of the sums that they leave.
#include "mace/cuda/edge_loop.h"
#include "mace/cuda/threads.h"

#include "formulas/edge_gradient.h"
#include "formulas/harmonics.h"
#include "formulas/pair_functions.h"

namespace lmp_uq::cuda {

template <class T> __global__ void prepare_edges_kernel(PrepareEdges<T> a)
{
  const std::size_t k = thread_number();
  const int e = a.first + static_cast<int>(k);
  if (e >= a.last || e >= a.edges.start[a.last_centre]) return;
  const Arrow edge = arrow(a.edges, e);
  double y[MAX_HARMONICS] = {};
  harmonics(edge.direction, a.l_max, y);
#pragma unroll    // in registers
  for (int s = 0; s < MAX_HARMONICS; ++s)
    if (s < (a.l_max + 1) * (a.l_max + 1)) a.out.harmonics[k * MAX_HARMONICS + s] = static_cast<T>(y[s]);
  const int own = a.exact.of_edge ? a.exact.of_edge[e] : -1;
  if (own >= 0) {
    a.out.row[k] = a.exact.rows + own * a.row_size;
    a.out.t[k] = 0;
    a.out.per_length[k] = 1;
    a.out.density[k] = a.density ? a.exact.density[2 * own] : 0.0;
    a.out.density_slope[k] = a.density ? a.exact.density[2 * own + 1] : 0.0;
    return;
  }
  const PairTable<T> &table = a.tables[a.edges.element[a.edges.centre[e]] * a.n_elements + a.edges.element[a.edges.source[e]]];
  const RadialPlace place = radial_place(table.spans, edge.length);
  a.out.row[k] = table.rows + place.interval * table.row_size;
  a.out.t[k] = static_cast<T>(place.t);
  a.out.per_length[k] = place.per_length;
  double value = 0.0, slope = 0.0;
  const double *rho = table.density + static_cast<std::size_t>(place.interval) * n_coefficients<T>();
  if (a.density) polynomial<n_coefficients<T>()>([&](int power) { return rho[power]; }, place.t, value, slope);
  a.out.density[k] = value;
  a.out.density_slope[k] = slope * place.per_length;
}

__global__ void centre_norms_kernel(CentreNorms a)
{
  const std::size_t k = thread_number();
  if (k >= static_cast<std::size_t>(a.n_centres)) return;
  const int centre = a.first_centre + static_cast<int>(k);
  double sum = 0.0;
  if (a.density)
    for (int e = a.start[centre]; e < a.start[centre + 1]; ++e) sum += a.density[e - a.first_edge];
  a.norm[centre] = 1.0 / (a.offset + a.slope * sum);
}

template <class T> __global__ void edge_gradients_kernel(EdgeGradients<T> a)
{
  const std::size_t k = thread_number();
  if (k >= static_cast<std::size_t>(a.n_edges) * a.n_sets) return;
  const std::size_t set = k / a.n_edges, here = k % a.n_edges, e = a.first + here;
  if (e >= static_cast<std::size_t>(a.edges.start[a.last_centre])) return;
  double sums[MAX_HARMONICS] = {};
  const T *parts = a.edge_sums + k * a.n_blocks * MAX_HARMONICS;
  for (int b = 0; b < a.n_blocks; ++b)
    for (int s = 0; s < MAX_HARMONICS; ++s) sums[s] += static_cast<double>(parts[b * MAX_HARMONICS + s]);
  const int centre = a.edges.centre[e];
  const double of_density = -a.norm[centre] * a.overlap[set * a.n_local + centre];
  const double radial = sums[0] * a.per_length[here] + of_density * a.density_slope[here];
  const Arrow edge = arrow(a.edges, e);
  add_edge_gradient(edge.direction, edge.length, radial, sums, a.l_max, a.gradient + (set * a.n_all_edges + e) * 3);
}

__device__ inline Jet pair_repulsion(const Edges &edges, std::size_t e, double length, int n_elements, const Repulsion *pairs)
{
  return repulsion(length, pairs[edges.element[edges.centre[e]] * n_elements + edges.element[edges.source[e]]]);
}

__global__ void repulsion_energies_kernel(RepulsionEnergies a)
{
  const std::size_t row = thread_number();
  if (row >= static_cast<std::size_t>(a.n_local)) return;
  double sum = 0.0;
  for (int e = a.edges.start[row]; e < a.edges.start[row + 1]; ++e) sum += pair_repulsion(a.edges, e, arrow(a.edges, e).length, a.n_elements, a.pairs).value;
  a.energy[row] += a.scale * sum;
}

__global__ void repulsion_gradients_kernel(RepulsionGradients a)
{
  const std::size_t e = thread_number();
  if (e >= a.n_edges || e >= static_cast<std::size_t>(a.edges.start[a.n_local])) return;
  const Arrow edge = arrow(a.edges, e);
  const double slope = a.scale * pair_repulsion(a.edges, e, edge.length, a.n_elements, a.pairs).first;
  for (int set = 0; set < a.n_sets && slope != 0.0; ++set) {
    const double weighted = slope * a.weights[static_cast<std::size_t>(set) * a.n_local + a.node[a.edges.centre[e]]];
    for (int x = 0; x < 3; ++x) a.gradient[(set * a.n_edges + e) * 3 + x] += weighted * edge.direction[x];
  }
}

template <class T, int L> __global__ void gather_sources_kernel(GatherSources<T> a)
{
  constexpr int n_x = (L + 1) * (L + 1);
  const Share me = share_of_warp(a.n_blocks);
  const int set = me.thing / a.n_nodes, node = me.thing % a.n_nodes;
  if (set >= a.n_sets) return;
  const int width = a.n_blocks * LANES, last = a.start[node + 1];
  int k = a.start[node];
  for (int end = last; k < end;) {    // the first of the chunk
    const int middle = (k + end) / 2;
    if (a.listed[middle] < a.first_listed) k = middle + 1;
    else end = middle;
  }
  if (a.add && (k == last || a.listed[k] >= a.last_listed)) return;    // most nodes, where there are several chunks
  T *out = a.out + static_cast<std::size_t>(me.thing) * n_x * width + me.block * LANES + me.lane;
  const T *from = a.edge_features + static_cast<std::size_t>(set) * a.n_edges * n_x * width + me.block * LANES + me.lane;
  T sum[n_x];    // one after the other, also where the chunks before have begun: how centres are cut changes no bit
  unroll<n_x>([&](auto s) { sum[s.value] = a.add ? out[s.value * width] : T(0); });
  for (; k < last && a.listed[k] < a.last_listed; ++k) {
    const int edge = a.edge_of[a.listed[k]];
    if (edge < 0) continue;
    const T *more = from + static_cast<std::size_t>(edge - a.first_edge) * n_x * width;
    unroll<n_x>([&](auto s) { sum[s.value] += more[s.value * width]; });
  }
  unroll<n_x>([&](auto s) { out[s.value * width] = sum[s.value]; });
}

template <class T> void prepare_edges(const PrepareEdges<T> &a, cudaStream_t stream)
{
  launch_threads(prepare_edges_kernel<T>, a.last - a.first, stream, a);
}

void centre_norms(const CentreNorms &a, cudaStream_t stream) { launch_threads(centre_norms_kernel, a.n_centres, stream, a); }

template <class T> void edge_gradients(const EdgeGradients<T> &a, cudaStream_t stream)
{
  launch_threads(edge_gradients_kernel<T>, static_cast<std::size_t>(a.n_edges) * a.n_sets, stream, a);
}

void repulsion_energies(const RepulsionEnergies &a, cudaStream_t stream) { launch_threads(repulsion_energies_kernel, a.n_local, stream, a); }
void repulsion_gradients(const RepulsionGradients &a, cudaStream_t stream) { launch_threads(repulsion_gradients_kernel, a.n_edges, stream, a); }

template <class T> void gather_sources(const GatherSources<T> &a, int l_in, cudaStream_t stream)
{
  const int n_blocks = blocks_for(static_cast<std::size_t>(a.n_sets) * a.n_nodes * a.n_blocks);
  for_l_in(l_in, [&](auto l) { launch(stream, gather_sources_kernel<T, l.value>, n_blocks, WARPS * LANES, 0, a); });
}

template void prepare_edges<float>(const PrepareEdges<float> &, cudaStream_t);
template void prepare_edges<double>(const PrepareEdges<double> &, cudaStream_t);
template void edge_gradients<float>(const EdgeGradients<float> &, cudaStream_t);
template void edge_gradients<double>(const EdgeGradients<double> &, cudaStream_t);
template void gather_sources<float>(const GatherSources<float> &, int, cudaStream_t);
template void gather_sources<double>(const GatherSources<double> &, int, cudaStream_t);

}    // namespace lmp_uq::cuda
