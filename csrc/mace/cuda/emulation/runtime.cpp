// SPDX-License-Identifier: GPL-2.0-or-later
// The driver, the devices and their errors, as the environment says.
#include "mace/cuda/emulation/machine.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

namespace emulation {
namespace {

constexpr int RUNTIME = 13000, OLDEST_CHIP = 80;
constexpr std::size_t SHARED = 227 << 10;
thread_local int device;
long n_launches;
thread_local cudaError_t last_error;
std::recursive_mutex machine;

}    // namespace

Alone::Alone() : held(machine) {}

void note(const char *what, std::size_t n)
{
  const char *path = std::getenv("LMP_UQ_EMULATION_NOTES");
  std::FILE *file = path ? std::fopen(path, "a") : nullptr;
  if (!file) return;
  std::fprintf(file, "%s %zu\n", what, n);
  std::fclose(file);
}

long setting(const char *name, long otherwise)
{
  const char *text = std::getenv((std::string("LMP_UQ_EMULATION_") + name).c_str());
  return text && *text ? std::atol(text) : otherwise;
}

void fail(const char *format, ...)
{
  std::va_list list;
  va_start(list, format);
  std::fputs("emulated CUDA: ", stderr);
  std::vfprintf(stderr, format, list);
  std::fputc('\n', stderr);
  std::_Exit(3);
}

cudaError_t remember(cudaError_t error)
{
  if (error) last_error = error;
  return error;
}

cudaError_t state()
{
  if (setting("DRIVER", RUNTIME) < RUNTIME) return cudaErrorInsufficientDriver;
  if (setting("DEVICES", 1) < 1) return cudaErrorNoDevice;
  const long lost_after = setting("LOST_AFTER", -1);
  return lost_after >= 0 && n_launches > lost_after ? cudaErrorLaunchFailure : cudaSuccess;
}

cudaError_t launch(const cudaLaunchConfig_t &c, const void *kernel, std::function<void()> thread, Uses uses)
{
  const Alone alone;
  const dim3 grid = c.gridDim, block = c.blockDim;
  const std::uint64_t n = std::uint64_t{block.x} * block.y * block.z;
  if (n < 1 || n > MOST_THREADS || block.z > 64) fail("blocks of (%u,%u,%u) threads", block.x, block.y, block.z);
  const bool empty = !grid.x || !grid.y || !grid.z;
  if (empty || grid.x >> 31 || grid.y > 65535 || grid.z > 65535) fail("a grid of (%u,%u,%u) blocks", grid.x, grid.y, grid.z);
  check_shared(kernel, c.dynamicSmemBytes);
  if (setting("CHIP", 90) < OLDEST_CHIP) return remember(cudaErrorNoKernelImageForDevice);
  note("launch", 1);
  return submit(c.stream, [=, bytes = c.dynamicSmemBytes] { ++n_launches, begin_launch(bytes), run(grid, block, thread); }, uses);
}

}    // namespace emulation

using namespace emulation;

const char *cudaGetErrorString(cudaError_t error)
{
  static const std::map<cudaError_t, const char *> text = {
    {cudaSuccess, "no error"}, {cudaErrorInvalidValue, "invalid argument"}, {cudaErrorMemoryAllocation, "out of memory"},
    {cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "no CUDA-capable device is detected"}, {cudaErrorInvalidDevice, "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device"},
    {cudaErrorInvalidResourceHandle, "invalid resource handle"}, {cudaErrorLaunchFailure, "unspecified launch failure"},
    {cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureImplicit, "operation would make the legacy stream depend on a capturing blocking stream"}};
  return text.at(error);
}

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaDriverGetVersion(int *version) { return *version = static_cast<int>(setting("DRIVER", RUNTIME)), cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int *version) { return *version = RUNTIME, cudaSuccess; }
cudaError_t cudaGetDevice(int *out) { return *out = device, remember(state()); }

cudaError_t cudaGetDeviceCount(int *n)
{
  *n = state() ? 0 : static_cast<int>(setting("DEVICES", 1));
  return remember(state());
}

cudaError_t cudaSetDevice(int number)
{
  if (const cudaError_t error = state()) return remember(error);
  if (number < 0 || number >= setting("DEVICES", 1)) return remember(cudaErrorInvalidDevice);
  device = number;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int number)
{
  if (number < 0 || number >= setting("DEVICES", 1)) return remember(cudaErrorInvalidDevice);
  const int chip = static_cast<int>(setting("CHIP", 90));
  switch (what) {
    case cudaDevAttrMultiProcessorCount: *value = 4; break;
    case cudaDevAttrComputeCapabilityMajor: *value = chip / 10; break;
    case cudaDevAttrComputeCapabilityMinor: *value = chip % 10; break;
    case cudaDevAttrSingleToDoublePrecisionPerfRatio: *value = static_cast<int>(setting("DOUBLE_RATE", 2)); break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = SHARED; break;
  }
  return remember(state());
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int number)
{
  *out = {"emulated device", 0, 0, 0, static_cast<std::size_t>(setting("MEMORY_MB", 8192)) << 20, SHARED};
  cudaDeviceGetAttribute(&out->major, cudaDevAttrComputeCapabilityMajor, number);
  cudaDeviceGetAttribute(&out->minor, cudaDevAttrComputeCapabilityMinor, number);
  return cudaDeviceGetAttribute(&out->multiProcessorCount, cudaDevAttrMultiProcessorCount, number);
}
