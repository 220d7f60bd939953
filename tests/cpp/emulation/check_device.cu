// SPDX-License-Identifier: GPL-2.0-or-later
// check_device: what device.h offers, against plain loops.  check_device --list: the planted faults, one a line: name, build that sees it,
// what that says.  check_device NAME: a program with that fault. Compiled by g++ through the emulation, and by nvcc.
#include "planted_faults.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>

using namespace lmp_uq;

static int n_failed = 0;
static void check(bool right, const char *what)
{
  if (!right) std::printf("FAILED %s\n", what);
  n_failed += !right;
}

struct Sums { double of_warp[4]; };

template <class T> __global__ void __launch_bounds__(128) reduce(int n, const T *in, T *sum, T *largest)
{
  LMP_UQ_SHARED(Sums, sums);
  LMP_UQ_DYNAMIC_SHARED(T, kept);
  double v = 0.0;
  for (int k = blockIdx.x * blockDim.x + threadIdx.x; k < n; k += gridDim.x * blockDim.x) v += static_cast<double>(in[k]);
  kept[threadIdx.x] = static_cast<T>(v);
  v = block_sum(v, sums.of_warp);
  T most = kept[blockDim.x - 1 - threadIdx.x];
  most = warp_max(most);
  __syncthreads();
  if (threadIdx.x % WARP == 0) kept[threadIdx.x / WARP] = most;
  __syncthreads();
  if (threadIdx.x == 0) sum[blockIdx.x] = static_cast<T>(v), largest[blockIdx.x] = kept[0];
}

template <class T> static void check_reduction(int n, int n_blocks)
{
  std::vector<T> in(n);
  std::iota(in.begin(), in.end(), T(1));
  DeviceArray<T> a(in), sum(n_blocks), largest(n_blocks);
  launch(nullptr, reduce<T>, n_blocks, 128, 128 * sizeof(T), n, a.data(), sum.data(), largest.data());
  const std::vector<T> found = sum.to_host(), most = largest.to_host();
  check(std::accumulate(found.begin(), found.end(), T(0)) == T(n) * (n + 1) / 2, "sum over blocks");
  for (int b = 0; b < n_blocks; ++b) {
    T expected = 0;
    for (int t = 96; t < 128; ++t) {    // what the first warp sees
      T v = 0;
      for (int k = b * 128 + t; k < n; k += n_blocks * 128) v += in[k];
      expected = std::fmax(expected, v);
    }
    check(most[b] == expected, "maximum over a warp");
  }
}

constexpr int N_EXCHANGES = 14;

__global__ void exchange(const int *in, int *out)
{
  const int t = threadIdx.x, lane = t % WARP;
  const int v = in[t];
  const double wide = v;
  int *o = out + t * N_EXCHANGES;
  o[0] = __shfl_sync(WHOLE_WARP, v, lane * 7 + 40);
  o[1] = __shfl_sync(WHOLE_WARP, v, 5, 8);
  o[2] = __shfl_up_sync(WHOLE_WARP, v, 3);
  o[3] = __shfl_up_sync(WHOLE_WARP, v, 2, 4);
  o[4] = __shfl_down_sync(WHOLE_WARP, v, 30);
  o[5] = __shfl_down_sync(WHOLE_WARP, v, 1, 16);
  o[6] = __shfl_xor_sync(WHOLE_WARP, v, 17);
  o[7] = __shfl_xor_sync(WHOLE_WARP, v, 6, 4);
  o[8] = static_cast<int>(__ballot_sync(WHOLE_WARP, v % 3 == 0));
  o[9] = __any_sync(WHOLE_WARP, v == 1000000) + 2 * __all_sync(WHOLE_WARP, v >= 0);
  o[10] = static_cast<int>(__shfl_xor_sync(WHOLE_WARP, wide, 1));
  if (lane < 16) o[11] = __shfl_xor_sync(0x0000ffffu, v, 8);
  else o[11] = __popc(__ballot_sync(0xffff0000u, v % 2));
  __syncwarp();
  o[12] = out[(t ^ 1) * N_EXCHANGES + 8];
  o[13] = __ffs(v + 1);
}

static void check_exchanges()
{
  std::mt19937 generator(3);
  constexpr int N = 96;
  std::vector<int> in(N);
  for (int &v : in) v = static_cast<int>(generator() % 1000);
  DeviceArray<int> a(in), out(N * N_EXCHANGES);
  launch(nullptr, exchange, 1, N, 0, a.data(), out.data());
  const std::vector<int> found = out.to_host();
  for (int t = 0; t < N; ++t) {
    const int l = t % 32, *w = &in[t - l];
    unsigned votes = 0, odd = 0;
    for (int k = 0; k < 32; ++k) votes |= unsigned(w[k] % 3 == 0) << k, odd += k >= 16 && w[k] % 2;
    const int expected[N_EXCHANGES] = {
      w[(l * 7 + 40) % 32], w[l / 8 * 8 + 5], w[l < 3 ? l : l - 3], w[l % 4 < 2 ? l : l - 2],
      w[l + 30 > 31 ? l : l + 30], w[l % 16 == 15 ? l : l + 1], w[l ^ 17], w[(l ^ 6) > l / 4 * 4 + 3 ? l : l ^ 6],
      static_cast<int>(votes), 2, w[l ^ 1], l < 16 ? w[l ^ 8] : static_cast<int>(odd),
      static_cast<int>(votes), __builtin_ffs(in[t] + 1)};
    for (int k = 0; k < N_EXCHANGES; ++k) {
      const int one = found[t * N_EXCHANGES + k];
      if (one != expected[k]) std::printf("FAILED thread %d, exchange %d: %d, not %d\n", t, k, one, expected[k]), ++n_failed;
    }
  }
}

__global__ void count(int n, const int *in, int *histogram, unsigned long long *sum, unsigned *least_most)
{
  const int k = blockIdx.x * blockDim.x + threadIdx.x;
  if (k >= n) return;
  atomicAdd(histogram + in[k] % 4, 1);
  atomicAdd(sum, static_cast<unsigned long long>(in[k]));
  atomicMin(least_most, static_cast<unsigned>(in[k]));
  atomicMax(least_most + 1, static_cast<unsigned>(in[k]));
  atomicCAS(histogram + 4, -1, in[k]);
}

static void check_atomics(cudaStream_t stream)
{
  constexpr int N = 1000;
  std::vector<int> in(N);
  for (int k = 0; k < N; ++k) in[k] = 7 + k * 13 % 517;
  DeviceArray<int> a(in, stream), histogram(std::vector<int>{0, 0, 0, 0, -1}, stream);
  DeviceArray<unsigned long long> sum(1);
  DeviceArray<unsigned> least_most(std::vector<unsigned>{1u << 30, 0}, stream);
  sum.zero(stream);
  launch(stream, count, (N + 127) / 128, 128, 0, N, a.data(), histogram.data(), sum.data(), least_most.data());
  std::vector<int> expected(4);
  for (const int v : in) ++expected[v % 4];
  std::vector<int> found = histogram.to_host(stream);
  check(found[4] >= 7, "atomicCAS");
  found.resize(4);
  check(found == expected, "atomicAdd of int");
  check(sum.to_host(stream)[0] == std::accumulate(in.begin(), in.end(), 0ull), "atomicAdd of unsigned long long");
  check(least_most.to_host(stream) == std::vector<unsigned>{7, 7 + 516}, "atomicMin, atomicMax");
}

__global__ void add(int n, double *x, double summand)
{
  const int k = blockIdx.x * blockDim.x + threadIdx.x;
  if (k < n) x[k] += summand;
}

static void check_graph(cudaStream_t stream)
{
  constexpr int N = 300;
  DeviceArray<double> x(N), y;
  PinnedArray<double> pinned(N);
  y.resize(N), y.resize(N / 2);
  check(!y.resize(N) && y.resize(N + 1) && y.size() == N + 1, "an array grows, and only then");
  const DeviceArray<double> moved = std::move(y);
  check(y.data() == nullptr && moved.bytes() == (N + 1) * sizeof(double), "an array moves");
  for (int k = 0; k < N; ++k) pinned[k] = k;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  double summand = 1.5;
  require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  x.upload(pinned.data(), N, stream);
  launch(stream, add, 3, 100, 0, N, x.data(), summand);
  summand = 100.0;    // the graph has the value of then
  x.download(pinned.data(), N, stream);
  require(cudaStreamEndCapture(stream, &graph));
  require(cudaGraphInstantiate(&exec, graph, 0));
  require(cudaGraphDestroy(graph));
  check(pinned[1] == 1.0, "a capture runs nothing");
  for (int k = 0; k < 3; ++k) require(cudaGraphLaunch(exec, stream));
  require(cudaStreamSynchronize(stream));
  for (int k = 0; k < N; ++k) check(pinned[k] == k + 4.5, "a graph of three launches");
  require(cudaGraphExecDestroy(exec));
}

static void check_errors()
{
  try {
    DeviceArray<char> large(std::size_t{1} << 42);
    check(false, "no room");
  } catch (const CudaError &e) {
    check(e.error == cudaErrorMemoryAllocation, "no room");
    check(std::strstr(e.what(), "no room for an array of 4194304 MB, free are "), "the message of no room");
  }
  check(cudaGetLastError() == cudaSuccess, "an error that was reported is not found again");
}

int main(int n_words, char **words)
{
  if (n_words == 2 && std::strcmp(words[1], "--list") == 0) return list_faults(), 0;
  if (n_words == 2) return run_fault(words[1]);
  cudaStream_t stream;
  cudaEvent_t first, second;
  require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  require(cudaEventCreate(&first)), require(cudaEventCreate(&second));
  require(cudaEventRecord(first, stream));
  check_reduction<double>(1000, 3), check_reduction<float>(500, 1);
  check_exchanges();
  check_atomics(stream);
  check_graph(stream);
  check_errors();
  check(run_fault("none") == 0 && run_fault("streams") == 0, "the programs of the faults, with none");
  float milliseconds = -1.0f;
  require(cudaEventRecord(second, stream));
  require(cudaEventSynchronize(second));
  require(cudaEventElapsedTime(&milliseconds, first, second));
  check(milliseconds >= 0.0f, "time between events");
  require(cudaEventDestroy(first)), require(cudaEventDestroy(second)), require(cudaStreamDestroy(stream));
  std::printf(n_failed ? "%d failed\n" : "ok\n", n_failed);
  return n_failed ? 1 : 0;
}
