// SPDX-License-Identifier: GPL-2.0-or-later
// CUDA's runtime, as far as the engine uses it. The machine is what the environment says, each with LMP_UQ_EMULATION_ before it: DEVICES
// (number), MEMORY_MB (of each), CHIP (90: compute capability 9.0), DRIVER (13000: CUDA 13.0; 0: none), DOUBLE_RATE (float32 to float64),
// LOST_AFTER (launches, then the device fails), SEED (of all orders), NOTES (a file that gets
// a line of each launch, graph, and copy to or from it with its bytes).
#ifndef LMP_UQ_EMULATION_RUNTIME_H
#define LMP_UQ_EMULATION_RUNTIME_H

#include <functional>
#include <map>
#include <tuple>
#include <vector>

// numbers and words are CUDA's
enum cudaError_t {
  cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2, cudaErrorInsufficientDriver = 35, cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101, cudaErrorNoKernelImageForDevice = 209, cudaErrorInvalidResourceHandle = 400, cudaErrorLaunchFailure = 719,
  cudaErrorStreamCaptureUnsupported = 900, cudaErrorStreamCaptureImplicit = 906
};
enum cudaMemcpyKind { cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice, cudaMemcpyDefault };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8, cudaFuncAttributePreferredSharedMemoryCarveout = 9 };
enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount = 16, cudaDevAttrComputeCapabilityMajor = 75, cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrSingleToDoublePrecisionPerfRatio = 87, cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal, cudaStreamCaptureModeRelaxed };
constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;
using cudaStream_t = struct CUstream_st *;
using cudaEvent_t = struct CUevent_st *;
using cudaGraph_t = struct CUgraph_st *;
using cudaGraphExec_t = struct CUgraphExec_st *;
struct cudaDeviceProp { char name[256]; int major, minor, multiProcessorCount; std::size_t totalGlobalMem, sharedMemPerBlockOptin; };
struct cudaLaunchConfig_t { dim3 gridDim, blockDim; std::size_t dynamicSmemBytes; cudaStream_t stream; void *attrs; unsigned numAttrs; };

const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaGetDeviceCount(int *n);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int device);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaMemGetInfo(std::size_t *free, std::size_t *total);

cudaError_t cudaMalloc(void **p, std::size_t bytes);
cudaError_t cudaFree(void *p);
cudaError_t cudaMallocHost(void **p, std::size_t bytes);    // pinned
cudaError_t cudaFreeHost(void *p);
cudaError_t cudaMemcpyAsync(void *to, const void *from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream = nullptr);
cudaError_t cudaMemcpy(void *to, const void *from, std::size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemsetAsync(void *to, int byte, std::size_t bytes, cudaStream_t stream = nullptr);
template <class T> cudaError_t cudaMalloc(T **p, std::size_t bytes) { return cudaMalloc(reinterpret_cast<void **>(p), bytes); }
template <class T> cudaError_t cudaMallocHost(T **p, std::size_t bytes) { return cudaMallocHost(reinterpret_cast<void **>(p), bytes); }

cudaError_t cudaStreamCreate(cudaStream_t *stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);
cudaError_t cudaEventCreate(cudaEvent_t *event);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = nullptr);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t first, cudaEvent_t second);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);

namespace emulation {

using Uses = std::map<const char *, unsigned long>;    // start of an allocation, the number that it has had
void check_pointers(const void *argument, std::size_t bytes, int number, Uses &uses);
cudaError_t allow_shared(const void *kernel, std::size_t bytes);
cudaError_t launch(const cudaLaunchConfig_t &config, const void *kernel, std::function<void()> thread, Uses uses);

template <class T> void check_argument(T &argument, int number, Uses &uses)
{
  __builtin_clear_padding(&argument);    // which may hold an old pointer; GCC 11 and later
  check_pointers(&argument, sizeof argument, number, uses);
}

}    // namespace emulation

template <class K> cudaError_t cudaFuncSetAttribute(K *kernel, cudaFuncAttribute what, int n)
{
  if (what != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  return emulation::allow_shared(reinterpret_cast<const void *>(kernel), n);
}

template <class... P, class... A> cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(P...), A &&...a)
{
  std::tuple<P...> arguments(static_cast<A &&>(a)...);
  emulation::Uses uses;
  std::apply([&uses, number = 0](P &...p) mutable { (emulation::check_argument(p, number++, uses), ...); }, arguments);
  return emulation::launch(*config, reinterpret_cast<const void *>(kernel), [kernel, arguments] { std::apply(kernel, arguments); }, uses);
}

#endif
