// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cuda/devices.h"

#include "mace/cuda/device.h"

#include <cstdio>
#include <cstdlib>

namespace lmp_uq {
namespace {

__global__ void answer(int *out) { *out = 42; }

}    // namespace

std::string cuda_version(int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

int n_devices()
{
  int driver = 0, runtime = 0, n = 0;
  require(cudaDriverGetVersion(&driver));
  require(cudaRuntimeGetVersion(&runtime));
  const cudaError_t error = cudaGetDeviceCount(&n);
  static_cast<void>(cudaGetLastError());
  if (driver == 0) throw CudaError(error, "no NVIDIA driver (libcuda.so.1) on this machine");
  if (error == cudaErrorInsufficientDriver)
    throw CudaError(error, "the driver runs CUDA up to " + cuda_version(driver) + ", this build needs " + cuda_version(runtime));
  if (error == cudaErrorNoDevice || (error == cudaSuccess && n == 0)) {
    const char *visible = std::getenv("CUDA_VISIBLE_DEVICES");
    const std::string hidden = visible ? " (CUDA_VISIBLE_DEVICES is '" + std::string(visible) + "')" : "";
    throw CudaError(error, "the NVIDIA driver finds no device" + hidden);
  }
  require(error);
  return n;
}

lmp_uq_cuda_device describe_device(int device)
{
  lmp_uq_cuda_device out = {};
  cudaDeviceProp properties;
  require(cudaGetDeviceProperties(&properties, device));
  require(cudaDeviceGetAttribute(&out.double_rate, cudaDevAttrSingleToDoublePrecisionPerfRatio, device));
  std::snprintf(out.name, sizeof out.name, "%.*s", static_cast<int>(sizeof out.name - 1), properties.name);
  out.chip = 10 * properties.major + properties.minor;
  out.memory = static_cast<long long>(properties.totalGlobalMem);
  return out;
}

void use_device(int device)
{
  const int n = n_devices();
  if (device < 0 || device >= n) {
    const std::string last = std::to_string(n - 1);
    throw CudaError(cudaErrorInvalidDevice, n == 1 ? "this machine has one device, cuda:0" : "this machine has cuda:0 to cuda:" + last);
  }
  require(cudaSetDevice(device));
  try {
    DeviceArray<int> out(1);
    launch(nullptr, answer, 1, 1, 0, out.data());
    if (out.to_host()[0] != 42) throw CudaError(cudaErrorLaunchFailure, "a kernel gives a wrong answer");
  } catch (const CudaError &e) {
    if (e.error != cudaErrorNoKernelImageForDevice) throw;
    const lmp_uq_cuda_device found = describe_device(device);
    throw CudaError(e.error, std::string(found.name) + " is sm_" + std::to_string(found.chip) + "; this build has kernels for " +
                             lmp_uq_cuda_interface()->targets);
  }
}

}    // namespace lmp_uq
