// SPDX-License-Identifier: GPL-2.0-or-later
#include "planted_faults.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace lmp_uq;

namespace {

enum Fault {
  NONE, BEHIND_SHARED, NO_BARRIER, HALF_BARRIER, PASSES_BARRIER, RETURNS_EARLY, TWO_SHUFFLES, OTHER_LANE, HOST_POINTER, READS_BEHIND,
  WRITES_EARLY, WRITES_BEHIND, TOO_MUCH_SHARED, HOST_READS, TWO_BLOCKS, NO_SYNCWARP, NO_ATOMIC, BALLOT_MASK, BALLOT_BRANCH, SEGMENT,
  BARRIER_BRANCHES, WARP_RETURNS, LEAVES_LOOP, BETWEEN_BARRIERS, MISALIGNED, NOT_SET, BEHIND_DYNAMIC, FREED, OTHER_DEVICE, GRAPH_GROWN,
  GRAPH_FREED, MALLOC_IN_CAPTURE, OTHER_STREAM, DEAD_STREAM, EVENT, LOST, STREAMS, READS_EARLY, REFILLS_EARLY, NO_EVENT
};
struct Planted { Fault fault; const char *name, *build, *message; };
constexpr Planted PLANTED[] = {
  {NONE, "none", "-", "-"},
  {STREAMS, "streams", "-", "-"},
  {BEHIND_SHARED, "writes-behind-a-shared-array", "asan", "out of bounds"},
  {NO_BARRIER, "no-barrier", "plain", "wrong numbers"},
  {NO_BARRIER, "no-barrier", "tsan", "data race"},
  {HALF_BARRIER, "barrier-for-half-of-the-block", "plain", "not reached by all"},
  {PASSES_BARRIER, "one-thread-passes-the-barrier", "plain", "lanes wait for lanes"},
  {RETURNS_EARLY, "one-thread-returns-early", "plain", "lanes wait for lanes"},
  {BARRIER_BRANCHES, "barriers-in-two-branches", "plain", "not reached by all"},
  {WARP_RETURNS, "one-warp-returns-early", "plain", "not reached by all"},
  {LEAVES_LOOP, "one-thread-leaves-a-loop-with-a-barrier", "plain", "not reached by all"},
  {BETWEEN_BARRIERS, "writes-between-two-barriers-what-another-reads", "tsan", "data race"},
  {TWO_SHUFFLES, "shuffles-in-two-branches", "plain", "of the same mask at"},
  {OTHER_LANE, "lane-not-in-its-mask", "plain", "not in its mask"},
  {HOST_POINTER, "host-pointer-as-argument", "plain", "pointer to host memory"},
  {READS_BEHIND, "reads-behind-a-device-array", "asan", "use-after-poison"},
  {WRITES_EARLY, "writes-what-others-still-read", "tsan", "data race"},
  {WRITES_BEHIND, "writes-behind-a-device-array", "asan", "use-after-poison"},
  {TOO_MUCH_SHARED, "shared-memory-not-asked-for", "plain", "not asked for"},
  {HOST_READS, "host-reads-device-memory", "asan", "use-after-poison"},
  {TWO_BLOCKS, "two-blocks-write-one-number", "tsan", "data race"},
  {NO_SYNCWARP, "no-syncwarp", "tsan", "data race"},
  {NO_ATOMIC, "sum-without-atomic", "tsan", "data race"},
  {BALLOT_MASK, "ballot-of-a-lane-not-in-its-mask", "plain", "not in its mask"},
  {BALLOT_BRANCH, "ballot-of-lanes-in-another-branch", "plain", "of the same mask at"},
  {MISALIGNED, "loads-a-pair-from-an-odd-place", "asan", "misaligned address"},
  {SEGMENT, "shuffle-in-segments-of-24", "plain", "segments of 24 lanes"},
  {NOT_SET, "reads-shared-memory-never-written", "plain", "wrong numbers"},
  {BEHIND_DYNAMIC, "reads-behind-dynamic-shared-memory", "asan", "use-after-poison"},
  {FREED, "argument-was-freed", "plain", "pointer to host memory"},
  {OTHER_DEVICE, "memory-of-another-device", "plain", "lies on device 0"},
  {GRAPH_GROWN, "graph-after-an-array-has-grown", "plain", "freed or reallocated"},
  {GRAPH_FREED, "graph-after-an-array-was-freed", "plain", "freed or reallocated"},
  {MALLOC_IN_CAPTURE, "malloc-in-a-capture", "plain", "not permitted when stream is capturing"},
  {OTHER_STREAM, "default-stream-in-a-capture", "plain", "depend on a capturing"},
  {DEAD_STREAM, "stream-that-was-destroyed", "plain", "a stream that was never made or is destroyed"},
  {READS_EARLY, "reads-pinned-memory-before-the-copy", "plain", "wrong numbers"},
  {REFILLS_EARLY, "refills-pinned-memory-before-the-copy", "plain", "wrong numbers"},
  {NO_EVENT, "stream-that-does-not-wait-for-another", "plain", "wrong numbers"},
  {LOST, "device-that-is-lost", "plain", "unspecified launch failure"},
  {EVENT, "waits-for-an-event-not-recorded", "plain", "event that was not recorded"},
};

constexpr int N = 64;    // threads
struct Numbers { double of[N], sum[4]; };

__device__ double mistaken(double v, const double *in, int kind, const double *more, const double *dynamic, const Numbers &shared)
{
  const int t = threadIdx.x;
  if (kind == TWO_SHUFFLES && t % 2) v = __shfl_xor_sync(WHOLE_WARP, v, 1);
  if (kind == OTHER_LANE) v += __shfl_xor_sync(0x0000ffffu, v, 1);
  if (kind == BALLOT_MASK) v += __ballot_sync(0x7fffffffu, t);
  if (kind == BALLOT_BRANCH && t < 40) v += __ballot_sync(WHOLE_WARP, t);
  if (kind == SEGMENT) v += __shfl_up_sync(WHOLE_WARP, v, 1, 24);
  if (kind == HOST_POINTER) v += more[0];
  if (kind == READS_BEHIND) v += in[N];
  if (kind == MISALIGNED) v += reinterpret_cast<const double2 *>(in + 1)->x;
  if (kind == BEHIND_DYNAMIC) v += dynamic[N];
  if (kind == NOT_SET) v += shared.sum[3];
  return v;
}

__global__ void faulty(double *out, const double *in, int kind, const double *more, int *counter)
{
  LMP_UQ_SHARED(Numbers, shared);
  LMP_UQ_DYNAMIC_SHARED(double, dynamic);
  const int t = threadIdx.x;
  shared.of[kind == BEHIND_SHARED ? t + 5 * (t == 63) : t] = in[t];
  dynamic[t] = 0.0;
  if (kind != NO_BARRIER && !(kind == HALF_BARRIER && t < 32) && !(kind == PASSES_BARRIER && t == 5)) __syncthreads();
  if ((kind == RETURNS_EARLY && t == 5) || (kind == WARP_RETURNS && t < WARP)) return;
  for (int k = 0; kind == LEAVES_LOOP && k < 3; ++k) {
    if (k == 2 && t == 5) return;
    __syncthreads();
  }
  if (kind == BETWEEN_BARRIERS) {
    if (t == 63) shared.sum[0] = 1.0;
    if (t == 0) dynamic[0] = 0.0 * shared.sum[0];
    __syncthreads();
  }
  if (kind == BARRIER_BRANCHES && t < 7)
    __syncthreads();
  else if (kind == BARRIER_BRANCHES)
    __syncthreads();
  double v = shared.of[N - 1 - t];
  v = mistaken(v, in, kind, more, dynamic, shared);
  v = block_sum(v, shared.sum);
  if (kind == WRITES_EARLY) shared.of[0] = v;
  if (kind == NO_SYNCWARP) shared.of[t] = v, v = shared.of[t ^ 1];
  out[N * blockIdx.x + t] = v + dynamic[N - 1 - t];
  if (kind == NO_ATOMIC) ++*counter;
  else atomicAdd(counter, 1);
  if (kind == WRITES_BEHIND && t == 0) out[2 * N + blockIdx.x] = v;
  if (kind == TWO_BLOCKS && t == 0) out[2 * N - 1] = v;
}

struct Program {
  std::vector<double> numbers = std::vector<double>(N, 1.0), result;
  DeviceArray<double> in{numbers}, out{2 * N};
  DeviceArray<int> counter{1};

  void call(Fault kind, cudaStream_t stream = nullptr)
  {
    const double *more = kind == HOST_POINTER ? numbers.data() : nullptr;
    launch(stream, faulty, 2, N, sizeof(double) * N, out.data(), in.data(), static_cast<int>(kind), more, counter.data());
  }

  void call_graph(Fault kind)
  {
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    require(cudaStreamCreate(&stream));
    require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    call(kind, kind == OTHER_STREAM ? nullptr : stream);
    if (kind == MALLOC_IN_CAPTURE) out.resize(4 * N);
    require(cudaStreamEndCapture(stream, &graph));
    require(cudaGraphInstantiate(&exec, graph, 0));
    if (kind == GRAPH_GROWN) out.resize(4 * N);
    if (kind == GRAPH_FREED) out = DeviceArray<double>();
    require(cudaGraphLaunch(exec, stream));
  }

  // numbers go up in one stream, down in another one
  void call_streams(Fault kind)
  {
    cudaStream_t up, down;
    cudaEvent_t event;
    require(cudaStreamCreateWithFlags(&up, cudaStreamNonBlocking)), require(cudaStreamCreateWithFlags(&down, cudaStreamNonBlocking));
    require(cudaEventCreate(&event));
    PinnedArray<double> sent(2 * N), received(2 * N);
    const auto fill = [&](double value) { std::fill(sent.data(), sent.data() + 2 * N, value); };
    fill(N);
    out.upload(sent.data(), 2 * N, up);
    require(cudaEventRecord(event, up));
    if (kind == REFILLS_EARLY) fill(0.0);
    if (kind != NO_EVENT) require(cudaStreamWaitEvent(down, event, 0));
    out.download(received.data(), 2 * N, down);
    if (kind != READS_EARLY) require(cudaStreamSynchronize(down));
    result.assign(received.data(), received.data() + 2 * N);
  }

  void call_wrongly(Fault kind)
  {
    cudaStream_t stream = nullptr;
    cudaEvent_t event = nullptr;
    if (kind == TOO_MUCH_SHARED) {
      cudaLaunchConfig_t config = {};
      config.gridDim = dim3(2), config.blockDim = dim3(N), config.dynamicSmemBytes = 60000;
      const double *from = in.data(), *more = nullptr;
      require(cudaLaunchKernelEx(&config, faulty, out.data(), from, 0, more, counter.data()));
    } else if (kind == FREED) {
      double *const old = in.data();
      in = DeviceArray<double>();
      launch(stream, faulty, 2, N, sizeof(double) * N, out.data(), old, static_cast<int>(kind), nullptr, counter.data());
    } else if (kind == OTHER_DEVICE) {
      require(cudaSetDevice(1));
      call(kind);
    } else if (kind == DEAD_STREAM) {
      require(cudaStreamCreate(&stream));
      require(cudaStreamDestroy(stream));
      call(kind, stream);
    } else if (kind == LOST) {
      setenv("LMP_UQ_EMULATION_LOST_AFTER", "0", 1);
      call(kind);
    } else if (kind == EVENT) {
      require(cudaEventCreate(&event));
      require(cudaEventSynchronize(event));
    } else if (kind >= STREAMS) return call_streams(kind);
    else if (kind >= GRAPH_GROWN) call_graph(kind);
    else call(kind);
    require(cudaDeviceSynchronize());
    if (kind == HOST_READS) numbers[0] = out.data()[0];
    result = out.to_host();
  }
};

}    // namespace

void list_faults()
{
  for (const Planted &p : PLANTED)
    if (*p.build != '-') std::printf("%s %s %s\n", p.name, p.build, p.message);
}

int run_fault(const char *name)
{
  for (const Planted &p : PLANTED) {
    if (std::strcmp(p.name, name) != 0) continue;
    try {
      Program program;
      program.counter.zero();
      program.call_wrongly(p.fault);
      for (const double x : program.result)
        if (x != N) return std::printf("wrong numbers: %g, not %d\n", x, N), 1;
      return 0;
    } catch (const CudaError &e) {
      return std::puts(e.what()), 1;
    }
  }
  return std::printf("no fault %s\n", name), 2;
}
