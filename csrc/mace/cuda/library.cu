// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cuda_library.h"

#include "mace/cuda/device.h"
#include "mace/cuda/devices.h"
#include "mace/cuda/guarded.h"

#include <string>

#ifndef LMP_UQ_CUDA_TARGETS
#ifdef __CUDACC__
#error "LMP_UQ_CUDA_TARGETS: what is compiled for, as a text"
#endif
#define LMP_UQ_CUDA_TARGETS "the emulation, sm_80 and newer"
#endif
#define LMP_UQ_EXPORTED __attribute__((visibility("default")))

namespace lmp_uq {

const lmp_uq_engine_calls &engine_calls();

namespace {

int count(char *problem, int size)
{
  int n = 0;
  guarded(problem, size, [&] { n = n_devices(); });
  return n;
}

void describe(int device, lmp_uq_cuda_device *out, char *problem, int size)
{
  guarded(problem, size, [&] { *out = describe_device(device); });
}

void use(int device, char *problem, int size)
{
  guarded(problem, size, [&] { use_device(device); });
}

}    // namespace
}    // namespace lmp_uq

extern "C" LMP_UQ_EXPORTED int lmp_uq_cuda_version(void) { return LMP_UQ_CUDA_VERSION; }

extern "C" LMP_UQ_EXPORTED const struct lmp_uq_cuda_calls *lmp_uq_cuda_interface(void)
{
  static std::string runtime, driver;
  int numbers[2] = {};
  static_cast<void>(cudaRuntimeGetVersion(numbers)), static_cast<void>(cudaDriverGetVersion(numbers + 1));
  runtime = lmp_uq::cuda_version(numbers[0]), driver = numbers[1] ? lmp_uq::cuda_version(numbers[1]) : "";
  static struct lmp_uq_cuda_calls calls;
  calls = {LMP_UQ_CUDA_TARGETS, runtime.c_str(), driver.c_str(), lmp_uq::count, lmp_uq::describe, lmp_uq::use, &lmp_uq::engine_calls()};
  return &calls;
}
