/* SPDX-License-Identifier: GPL-2.0-or-later
   What liblmp_uq_cuda.so offers, in C: the plugin loads it when a device is asked for, so that one plugin serves machines with and without.
   Both have to be of one version of this file. Texts are cut at `size` bytes and end with 0; "" where nothing is wrong. */
#ifndef LMP_UQ_CUDA_LIBRARY_H
#define LMP_UQ_CUDA_LIBRARY_H

#include "mace/engine_calls.h"

enum { LMP_UQ_CUDA_VERSION = 2 };

struct lmp_uq_cuda_device {
  char name[128];
  int chip;           /* 90: compute capability 9.0 */
  int double_rate;    /* float32 operations in the time of one in float64 */
  long long memory;   /* bytes */
};

struct lmp_uq_cuda_calls {
  const char *targets;    /* what it was compiled for: "sm_80, sm_90, PTX 90" */
  const char *runtime, *driver;    /* versions of CUDA: "13.0"; driver "": none */
  int (*n_devices)(char *problem, int size);    /* 0: problem says why there is none */
  void (*describe)(int device, struct lmp_uq_cuda_device *out, char *problem, int size);
  void (*use)(int device, char *problem, int size);    /* makes it the device of this thread's calls, and runs a kernel on it */
  const struct lmp_uq_engine_calls *engine;
};

#ifdef __cplusplus
extern "C" {
#endif
int lmp_uq_cuda_version(void);
const struct lmp_uq_cuda_calls *lmp_uq_cuda_interface(void);
#ifdef __cplusplus
}
#endif
#endif
