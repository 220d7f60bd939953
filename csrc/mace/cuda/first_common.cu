// SPDX-License-Identifier: GPL-2.0-or-later
// The first layer by common functions: a lane has one of them, in common_mix one number of what is written.
#include "mace/cuda/first_common.h"

#include "mace/cuda/edge_loop.h"

namespace lmp_uq::cuda {

template <class T> struct alignas(16) Four { T v[4]; };    // read as vectors; all that is read so begins at a multiple of 16 bytes

template <class T> __device__ inline Four<T> four(const T *from) { return *reinterpret_cast<const Four<T> *>(from); }

// the harmonics of degrees 0..M of an edge; what follows them in a row was never written
template <int M, class T> __device__ inline void read_harmonics(const T *row, T (&y)[(M + 1) * (M + 1)])
{
  constexpr int n_y = (M + 1) * (M + 1);
#pragma unroll
  for (int n = 0; n + 4 <= n_y; n += 4) {
    const Four<T> part = four(row + n);
#pragma unroll
    for (int i = 0; i < 4; ++i) y[n + i] = part.v[i];
  }
#pragma unroll
  for (int n = n_y / 4 * 4; n < n_y; ++n) y[n] = row[n];
}

template <class T> __device__ inline const CommonPair<T> &pair_of(const CommonEdges<T> &edges, int centre, int s)
{
  return edges.pairs[edges.element[centre] * edges.n_elements + edges.species.element[s]];
}

// Is edge e of the batch one of `last` edges, and from a source of this element?
template <class T> __device__ inline bool taken(const CommonEdges<T> &edges, int e, int last, int element)
{
  if (e >= last) return false;
  const int number = edges.batch.first_edge + e;
  return edges.element[edges.batch.source[number]] == element && !(edges.exact && edges.exact[number] >= 0);
}

template <class T, int M> __global__ void __launch_bounds__(WARPS * LANES) common_forward_kernel(CommonForward<T> a)
{
  constexpr int n_y = (M + 1) * (M + 1);
  const EdgeBatch<T> &batch = a.edges.batch;
  const Share me = share_of_warp(batch.n_blocks);
  if (me.thing >= batch.n_centres) return;
  const int centre = batch.first_centre + me.thing, first = batch.start[centre] - batch.first_edge, last = batch.start[centre + 1] - batch.first_edge;
  const std::size_t width = static_cast<std::size_t>(a.edges.species.n) * batch.n_blocks * LANES;
  for (int s = 0; s < a.edges.species.n; ++s) {
    const CommonPair<T> pair = pair_of(a.edges, centre, s);
    const T *rows = pair.rows + me.block * n_coefficients<T>() * LANES + me.lane;
    T sum[n_y] = {};
    for (int tile = first; tile < last && me.block * LANES < pair.n; tile += LANES) {
      const bool mine = taken(a.edges, tile + me.lane, last, a.edges.species.element[s]);
      const int offset = mine ? static_cast<int>(batch.row[tile + me.lane] - pair.rows) : 0;
      const T t = mine ? batch.t[tile + me.lane] : T(0);
      for (unsigned left = __ballot_sync(WHOLE_WARP, mine); left; left &= left - 1) {
        const int k = __ffs(static_cast<int>(left)) - 1;
        T y[n_y];
        read_harmonics<M>(batch.harmonics + static_cast<std::size_t>(tile + k) * MAX_HARMONICS, y);
        const T r = radial(rows + __shfl_sync(WHOLE_WARP, offset, k), 0, __shfl_sync(WHOLE_WARP, t, k));
#pragma unroll
        for (int n = 0; n < n_y; ++n) sum[n] += r * y[n];
      }
    }
    T *out = a.out + static_cast<std::size_t>(me.thing) * n_y * width + (s * batch.n_blocks + me.block) * LANES + me.lane;
#pragma unroll
    for (int n = 0; n < n_y; ++n) out[n * width] = sum[n];
  }
}

// ---- back to the edges: a lane has a function while it evaluates them for 32 edges, then an edge while it sums over the functions

template <class T> LMP_UQ_HD constexpr int reverse_warps() { return sizeof(T) == 8 ? 2 : 4; }    // of a block: what 48 kB have room for

template <class T> struct alignas(2 * sizeof(T)) Function { T value, slope; };
template <class T> struct EdgeTile {
  Function<T> of[LANES][LANES + 1];    // edge, function
  T t[LANES];
  int edge[LANES], offset[LANES];      // number in the batch; of the row
};
template <class T> struct EdgeTiles { EdgeTile<T> of_warp[reverse_warps<T>()]; };

template <class T, int M>
__device__ void add_functions(const EdgeTile<T> &tile, const T *gradient, std::size_t width, int n_functions, int lane,
                              const T (&y)[(M + 1) * (M + 1)], T (&sums)[MAX_HARMONICS])
{
  constexpr int n_y = (M + 1) * (M + 1);
  for (int q = 0; q < n_functions; q += 4) {
    Function<T> functions[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) functions[i] = tile.of[lane][q + i];
    T along[4] = {};
#pragma unroll
    for (int n = 0; n < n_y; ++n) {
      const Four<T> g = four(gradient + n * width + q);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        along[i] += g.v[i] * y[n];
        if (n > 0) sums[n] += g.v[i] * functions[i].value;
      }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[0] += functions[i].slope * along[i];
  }
}

// n edges of a centre and species s that lie in the tile
template <class T, int M> __device__ void reverse_tile(const CommonReverse<T> &a, const CommonPair<T> &pair, int row, int s, int n, EdgeTile<T> &tile, int lane)
{
  constexpr int n_y = (M + 1) * (M + 1);
  const EdgeBatch<T> &batch = a.edges.batch;
  const std::size_t width = static_cast<std::size_t>(a.edges.species.n) * batch.n_blocks * LANES;
  const std::size_t e = lane < n ? tile.edge[lane] : 0;
  T y[n_y] = {};
  if (lane < n) read_harmonics<M>(batch.harmonics + e * MAX_HARMONICS, y);
  for (int block = 0; block * LANES < pair.n; ++block) {
    const T *rows = pair.rows + block * n_coefficients<T>() * LANES + lane;
    for (int k = 0; k < n; ++k) {
      Function<T> function;
      radial(rows + tile.offset[k], 0, tile.t[k], function.value, function.slope);
      tile.of[k][lane] = function;
    }
    __syncwarp();
    for (int set = 0; set < a.n_sets; ++set) {
      const T *gradient = a.gradient + (static_cast<std::size_t>(set) * batch.n_centres + row) * n_y * width + (s * batch.n_blocks + block) * LANES;
      T *to = a.edge_sums + (static_cast<std::size_t>(set) * batch.n_edges + e) * a.n_parts * MAX_HARMONICS, sums[MAX_HARMONICS] = {};
      if (block > 0 && lane < n)
        for (int k = 0; k < MAX_HARMONICS; ++k) sums[k] = to[k];
      add_functions<T, M>(tile, gradient, width, min(LANES, pair.n - block * LANES), lane, y, sums);
      if (lane < n)
#pragma unroll
        for (int k = 0; k < MAX_HARMONICS; k += 4) *reinterpret_cast<Four<T> *>(to + k) = {sums[k], sums[k + 1], sums[k + 2], sums[k + 3]};
    }
    __syncwarp();    // before the tile is written again
  }
}

template <class T, int M> __global__ void __launch_bounds__(reverse_warps<T>() * LANES) common_reverse_kernel(CommonReverse<T> a)
{
  LMP_UQ_SHARED(EdgeTiles<T>, tiles);
  const EdgeBatch<T> &batch = a.edges.batch;
  const Share me = share_of_warp(1);
  if (me.thing >= batch.n_centres) return;
  const int centre = batch.first_centre + me.thing, first = batch.start[centre] - batch.first_edge, last = batch.start[centre + 1] - batch.first_edge;
  EdgeTile<T> &tile = tiles.of_warp[me.warp];
  for (int s = 0; s < a.edges.species.n; ++s) {
    const CommonPair<T> pair = pair_of(a.edges, centre, s);
    int n = 0;    // edges in the tile
    for (int from = first; from < last; from += LANES) {
      const int e = from + me.lane;
      const bool mine = taken(a.edges, e, last, a.edges.species.element[s]);
      const unsigned all = __ballot_sync(WHOLE_WARP, mine);
      const int place = n + __popc(all & ((1u << me.lane) - 1));
      const auto put = [&](int at) {
        tile.edge[at] = e;
        tile.offset[at] = static_cast<int>(batch.row[e] - pair.rows);
        tile.t[at] = batch.t[e];
      };
      if (mine && place < LANES) put(place);
      n += __popc(all);
      if (n < LANES) continue;
      __syncwarp();
      reverse_tile<T, M>(a, pair, me.thing, s, LANES, tile, me.lane);
      n -= LANES;
      if (mine && place >= LANES) put(place - LANES);
    }
    __syncwarp();
    if (n) reverse_tile<T, M>(a, pair, me.thing, s, n, tile, me.lane);
  }
}

// ---- between N and A

// rows that a warp works on at once, so that it reads a matrix once for all that have the same element
template <class T> LMP_UQ_HD constexpr int mix_rows() { return sizeof(T) == 8 ? 2 : 4; }
template <class T> LMP_UQ_HD constexpr int mix_blocks() { return sizeof(T) == 8 ? 2 : 3; }    // of a processor: its registers hold the sums of so many

template <class T, int M> struct alignas(16) MixTile { T of[mix_rows<T>() * (M + 1) * (M + 1)][LANES]; };    // (row, component), number
template <class T, int M> struct MixTiles { MixTile<T, M> of_warp[WARPS]; };

// sum += rows first..end of the tile's, of `in`, times the lane's columns of a matrix (l, n_matrix_rows, n_columns), whose first `depth` rows are taken
template <class T, int M>
__device__ inline void add_mixed(T (&sum)[mix_rows<T>() * (M + 1) * (M + 1)], MixTile<T, M> &tile, const T *in, std::size_t in_width, int first, int end,
                                 const T *matrix, int depth, int n_matrix_rows, std::size_t n_columns, int lane)
{
  constexpr int n_y = (M + 1) * (M + 1), n_rows = mix_rows<T>();
  for (int from = 0; from < depth; from += LANES) {
#pragma unroll 1
    for (int row = 0; row < n_rows; ++row) {
      const bool taken = row >= first && row < end;
      const T *numbers = in + row * n_y * in_width + from + lane;
#pragma unroll
      for (int n = 0; n < n_y; ++n, numbers += in_width) tile.of[row * n_y + n][lane] = taken ? *numbers : T(0);
    }
    __syncwarp();
    const T *rows = matrix + from * n_columns;
    const int n = min(LANES, depth - from);
#pragma unroll 1
    for (int k = 0; k < n; k += 4) {
      unroll<M + 1>([&](auto l) {
        T column[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) column[i] = rows[(static_cast<std::size_t>(l.value) * n_matrix_rows + k + i) * n_columns];
        unroll<n_rows *(2 * l.value + 1)>([&](auto at) {
          constexpr int r = at.value / (2 * l.value + 1) * n_y + l.value * l.value + at.value % (2 * l.value + 1);
          const Four<T> x = four(&tile.of[r][k]);
#pragma unroll
          for (int i = 0; i < 4; ++i) sum[r] += x.v[i] * column[i];
        });
      });
    }
    __syncwarp();    // before the tile is written again
  }
}

template <class T, bool BACK, int M> __global__ void __launch_bounds__(WARPS * LANES, mix_blocks<T>()) common_mix_kernel(CommonMix<T> a)
{
  using Tiles = MixTiles<T, M>;
  constexpr int n_y = (M + 1) * (M + 1), n_tile = mix_rows<T>();
  LMP_UQ_SHARED(Tiles, tiles);
  const Share me = share_of_rows((a.n_rows + n_tile - 1) / n_tile);
  const std::size_t in_width = BACK ? a.n_channels : a.n_functions, out_width = BACK ? a.n_functions : a.n_channels;
  const int at = me.block * LANES, of_species = a.n_functions / a.species.n;    // first number of the block that is written
  if (at >= static_cast<int>(out_width)) return;
  const int row = me.thing * n_tile, n = min(n_tile, a.n_rows - row);
  const T *in = a.in + static_cast<std::size_t>(row) * n_y * in_width;
  MixTile<T, M> &tile = tiles.of_warp[me.warp];
  T sum[n_tile * n_y] = {};
  for (int first = 0, end; first < n; first = end) {    // rows of one element
    const int element = a.element[(row + first) % a.n_centres];
    for (end = first + 1; end < n && a.element[(row + end) % a.n_centres] == element;) ++end;
    const CommonPair<T> *pairs = a.pairs + element * a.n_elements;
    for (int s = BACK ? at / of_species : 0, last = BACK ? s + 1 : a.species.n; s < last; ++s) {
      const CommonPair<T> &pair = pairs[a.species.element[s]];
      const int wide = (pair.n + LANES - 1) / LANES * LANES, column = (BACK ? at % of_species : at) + me.lane;
      if (BACK && column >= wide) continue;
      add_mixed<T, M>(sum, tile, BACK ? in : in + s * of_species, in_width, first, end, (BACK ? pair.transposed : pair.columns) + column,
                      BACK ? a.n_channels : pair.n, BACK ? a.n_channels : wide, BACK ? wide : a.n_channels, me.lane);
    }
  }
  T *out = a.out + static_cast<std::size_t>(row) * n_y * out_width + at + me.lane;
#pragma unroll
  for (int r = 0; r < n_tile; ++r) {
    if (r >= n) break;
    const T scale = a.norm ? static_cast<T>(a.norm[(row + r) % a.n_centres]) : T(1);
#pragma unroll
    for (int k = 0; k < n_y; ++k) out[(r * n_y + k) * out_width] = sum[r * n_y + k] * scale;
  }
}

template <class T> void common_forward(const CommonForward<T> &a, int l_max, cudaStream_t stream)
{
  const int n_blocks = blocks_for(static_cast<std::size_t>(a.edges.batch.n_centres) * a.edges.batch.n_blocks);
  for_l_max(l_max, [&](auto m) { launch(stream, common_forward_kernel<T, m.value>, n_blocks, WARPS * LANES, 0, a); });
}

template <class T> void common_reverse(const CommonReverse<T> &a, int l_max, cudaStream_t stream)
{
  constexpr int n_warps = reverse_warps<T>();
  const int n_blocks = blocks_for(a.edges.batch.n_centres, n_warps);
  for_l_max(l_max, [&](auto m) { launch(stream, common_reverse_kernel<T, m.value>, n_blocks, n_warps * LANES, 0, a); });
}

template <class T> void common_mix(const CommonMix<T> &a, int l_max, cudaStream_t stream)
{
  const std::size_t n_tiles = (a.n_rows + mix_rows<T>() - 1) / mix_rows<T>();
  const int n_blocks = blocks_for(n_tiles * ((a.back ? a.n_functions : a.n_channels) / LANES));
  for_l_max(l_max, [&](auto m) {
    launch(stream, a.back ? common_mix_kernel<T, true, m.value> : common_mix_kernel<T, false, m.value>, n_blocks, WARPS * LANES, 0, a);
  });
}

#define LMP_UQ_COMMON(T)                                                        \
  template void common_forward<T>(const CommonForward<T> &, int, cudaStream_t); \
  template void common_reverse<T>(const CommonReverse<T> &, int, cudaStream_t); \
  template void common_mix<T>(const CommonMix<T> &, int, cudaStream_t);
LMP_UQ_COMMON(float)
LMP_UQ_COMMON(double)
#undef LMP_UQ_COMMON

}    // namespace lmp_uq::cuda
