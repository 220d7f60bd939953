// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cuda/listed_edges.h"

#include "mace/atom_graph.h"
#include "mace/cuda/edge_loop.h"
#include "mace/cuda/threads.h"

#include <cfloat>

namespace lmp_uq::cuda {

__global__ void sort_listed_kernel(SortListed a)
{
  const Share me = share_of_warp(1);
  if (me.thing >= a.n_local) return;
  const int first = a.start[me.thing], n = a.start[me.thing + 1] - first, from = a.of_node[a.node[me.thing]];
  for (int k = me.lane; k < n; k += LANES) {
    a.sorted_site[first + k] = a.site[from + k];
    a.id[first + k] = a.order ? a.order[from + k] : from + k;
  }
}

__device__ inline int source_of(const ListedEdges &of, int k) { return of.row_of_site ? of.row_of_site[of.site[k]] : of.site[k]; }

__global__ void count_leaving_kernel(FindLeaving a)
{
  const std::size_t k = thread_number();
  if (k < static_cast<std::size_t>(a.n_listed)) atomicAdd(a.start + source_of(a.listed, static_cast<int>(k)), 1);
}

// in an order that is open
__global__ void place_leaving_kernel(FindLeaving a)
{
  const std::size_t k = thread_number();
  if (k < static_cast<std::size_t>(a.n_listed)) a.unsorted[atomicAdd(a.next + source_of(a.listed, static_cast<int>(k)), 1)] = static_cast<int>(k);
}

// A warp per node: each number goes behind as many as are smaller.
__global__ void sort_leaving_kernel(FindLeaving a)
{
  const Share me = share_of_warp(1);
  if (me.thing >= a.n_nodes) return;
  const int first = a.start[me.thing], n = a.start[me.thing + 1] - first;
  for (int k = me.lane; k < n; k += LANES) {
    const int mine = a.unsorted[first + k];
    int before = 0;
    for (int q = 0; q < n; ++q) before += a.unsorted[first + q] < mine;
    a.leaving[first + before] = mine;
  }
}

__device__ inline void listed_vector(const ListedEdges &of, int centre, int k, double (&v)[3])
{
  const double *to = of.moving + 3 * static_cast<std::size_t>(of.row_of_site ? of.site[k] : of.id[k]);
  const double *from = of.row_of_site ? of.moving + 3 * static_cast<std::size_t>(of.site_of_row[centre]) : nullptr;
  for (int x = 0; x < 3; ++x) v[x] = from ? to[x] - from[x] : to[x];
}

__device__ inline double length_of(const double (&v)[3]) { return sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]); }

// a warp per centre, a lane for every 32nd of its listed edges; f(number in the list, is it one, vector, length) by all lanes at once
template <class F> __device__ inline void over_listed(const FindEdges &a, const Share &me, const F &f)
{
  const int last = a.listed.start[me.thing + 1];
  for (int first = a.listed.start[me.thing]; first < last; first += LANES) {
    const int k = first + me.lane;
    double v[3] = {};
    if (k < last) listed_vector(a.listed, me.thing, k, v);
    f(k, k < last, v, length_of(v));
  }
}

__global__ void count_edges_kernel(FindEdges a)
{
  const Share me = share_of_warp(1);
  if (me.thing >= a.n_local) return;
  int n = 0;
  over_listed(a, me, [&](int k, bool is_one, const double (&)[3], double length) {
    if (is_one && !(length >= COINCIDENT && length <= DBL_MAX)) atomicMin(a.bad, a.listed.id[k]);
    n += __popc(__ballot_sync(WHOLE_WARP, is_one && length < a.cutoff));
  });
  if (me.lane == 0) a.start[me.thing] = n;
}

__global__ void fill_edges_kernel(FindEdges a)
{
  const Share me = share_of_warp(1);
  if (me.thing >= a.n_local) return;
  int next = a.start[me.thing];
  over_listed(a, me, [&](int k, bool is_one, const double (&v)[3], double length) {
    const bool within = is_one && length < a.cutoff;
    const unsigned all = __ballot_sync(WHOLE_WARP, within);
    const int e = next + __popc(all & ((1u << me.lane) - 1u));
    next += __popc(all);
    if (is_one) a.edge_of[k] = within ? e : -1;
    if (!within) return;
    a.centre[e] = me.thing;
    a.source[e] = source_of(a.listed, k);
    for (int x = 0; x < 3; ++x) a.vector[3 * static_cast<std::size_t>(e) + x] = v[x];
  });
}

constexpr int ADD_WARPS = 8, ADD_ITEMS = 8, ADD_TILE = ADD_WARPS * WARP * ADD_ITEMS;
struct WarpTotals { int of[ADD_WARPS]; };

// one block: a million numbers are 500 tiles
__global__ void add_up_kernel(int n, int *values)
{
  LMP_UQ_SHARED(WarpTotals, totals);
  const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  int before = 0;
  for (int first = 0; first < n; first += ADD_TILE) {
    const int at = first + static_cast<int>(threadIdx.x) * ADD_ITEMS;
    int items[ADD_ITEMS], mine = 0;
    for (int q = 0; q < ADD_ITEMS; ++q) mine += items[q] = at + q < n ? values[at + q] : 0;
    int up_to = mine;
    for (int bits = 1; bits < WARP; bits *= 2) {
      const int other = __shfl_up_sync(WHOLE_WARP, up_to, bits);
      if (lane >= bits) up_to += other;
    }
    if (lane == WARP - 1) totals.of[warp] = up_to;
    __syncthreads();
    int sum = before + up_to - mine;
    for (int w = 0; w < ADD_WARPS; ++w) {
      if (w < warp) sum += totals.of[w];
      before += totals.of[w];
    }
    for (int q = 0; q < ADD_ITEMS && at + q < n; sum += items[q++]) values[at + q] = sum;
    __syncthreads();    // before the totals are written again
  }
  if (threadIdx.x == 0) values[n] = before;
}

template <class T> __global__ void find_uncovered_kernel(FindUncovered<T> a)
{
  const std::size_t e = thread_number();
  if (e >= static_cast<std::size_t>(a.n_edges)) return;
  const int centre = a.edges.element[a.edges.centre[e]], source = a.edges.element[a.edges.source[e]];
  const PairTable<T> &table = a.tables[centre * a.n_elements + source];
  const double length = arrow(a.edges, e).length;
  if (table.rows && length >= table.spans.low) return;
  const int k = atomicAdd(a.n, 1);
  if (a.out) a.out[k] = {static_cast<int>(e), centre, source, length};
}

__global__ void list_gradients_kernel(ListGradients a)
{
  const std::size_t thread = thread_number(), n = a.n_listed, set = thread / n, k = thread % n;
  if (thread >= a.n_sets * n) return;
  const int e = a.edge_of[k];
  for (int x = 0; x < 3; ++x) a.out[3 * (set * n + a.id[k]) + x] = e < 0 ? 0.0 : a.gradient[3 * (set * a.room + e) + x];
}

// a warp per node and set
__global__ void node_forces_kernel(NodeForces a)
{
  const Share me = share_of_warp(1);
  const int set = me.thing / a.n_nodes, row = me.thing % a.n_nodes;
  if (set >= a.n_sets) return;
  const double *gradient = a.gradient + 3 * static_cast<std::size_t>(set) * a.room;
  double force[3] = {}, virial[6] = {};
  const int last = row < a.n_local ? a.start[row + 1] : 0;
  for (int e = row < a.n_local ? a.start[row] + me.lane : 0; e < last; e += LANES) {
    const double *g = gradient + 3 * static_cast<std::size_t>(e), *r = a.vector + 3 * static_cast<std::size_t>(e);
    for (int x = 0; x < 3; ++x) force[x] += g[x], virial[x] -= r[x] * g[x];
    virial[3] -= 0.5 * (r[0] * g[1] + r[1] * g[0]);
    virial[4] -= 0.5 * (r[0] * g[2] + r[2] * g[0]);
    virial[5] -= 0.5 * (r[1] * g[2] + r[2] * g[1]);
  }
  for (int k = a.leaving_start[row] + me.lane; k < a.leaving_start[row + 1]; k += LANES) {
    const int e = a.edge_of[a.leaving[k]];
    for (int x = 0; x < 3 && e >= 0; ++x) force[x] -= gradient[3 * static_cast<std::size_t>(e) + x];
  }
  for (int x = 0; x < 3; ++x) force[x] = warp_sum(force[x]);
  for (int x = 0; x < 6 && row < a.n_local; ++x) virial[x] = warp_sum(virial[x]);
  if (me.lane > 0) return;
  double *to = a.forces + 3 * (static_cast<std::size_t>(set) * a.n_nodes + a.node[row]);
  for (int x = 0; x < 3; ++x) to[x] = force[x];
  if (row >= a.n_local) return;
  for (int x = 0; x < 6; ++x) a.virials[6 * (static_cast<std::size_t>(set) * a.n_local + row) + x] = virial[x];
}

constexpr int SUM_THREADS = 256;
struct SumOfWarps { double of[SUM_THREADS / WARP]; };

__global__ void column_sums_kernel(ColumnSums a)
{
  LMP_UQ_SHARED(SumOfWarps, sums);
  const std::size_t set = blockIdx.x / a.n_columns, column = blockIdx.x % a.n_columns;
  double sum = 0.0;
  for (int row = threadIdx.x; row < a.n_rows; row += SUM_THREADS) sum += a.rows[(set * a.n_rows + row) * a.n_columns + column];
  sum = block_sum(sum, sums.of);
  if (threadIdx.x == 0) a.out[blockIdx.x] = sum;
}

void sort_listed(const SortListed &a, cudaStream_t stream) { launch(stream, sort_listed_kernel, blocks_for(a.n_local), WARPS * LANES, 0, a); }
void count_leaving(const FindLeaving &a, cudaStream_t stream) { launch_threads(count_leaving_kernel, a.n_listed, stream, a); }

void place_leaving(const FindLeaving &a, cudaStream_t stream)
{
  launch_threads(place_leaving_kernel, a.n_listed, stream, a);
  launch(stream, sort_leaving_kernel, blocks_for(a.n_nodes), WARPS * LANES, 0, a);
}

void count_edges(const FindEdges &a, cudaStream_t stream) { launch(stream, count_edges_kernel, blocks_for(a.n_local), WARPS * LANES, 0, a); }
void fill_edges(const FindEdges &a, cudaStream_t stream) { launch(stream, fill_edges_kernel, blocks_for(a.n_local), WARPS * LANES, 0, a); }
void add_up(int n, int *values, cudaStream_t stream) { launch(stream, add_up_kernel, 1, ADD_WARPS * WARP, 0, n, values); }

template <class T> void find_uncovered(const FindUncovered<T> &a, cudaStream_t stream)
{
  launch_threads(find_uncovered_kernel<T>, a.n_edges, stream, a);
}

void list_gradients(const ListGradients &a, cudaStream_t stream)
{
  launch_threads(list_gradients_kernel, static_cast<std::size_t>(a.n_sets) * a.n_listed, stream, a);
}

void node_forces(const NodeForces &a, cudaStream_t stream)
{
  launch(stream, node_forces_kernel, blocks_for(static_cast<std::size_t>(a.n_sets) * a.n_nodes), WARPS * LANES, 0, a);
}

void column_sums(const ColumnSums &a, cudaStream_t stream) { launch(stream, column_sums_kernel, a.n_sets * a.n_columns, SUM_THREADS, 0, a); }

template void find_uncovered<float>(const FindUncovered<float> &, cudaStream_t);
template void find_uncovered<double>(const FindUncovered<double> &, cudaStream_t);

}    // namespace lmp_uq::cuda
