// SPDX-License-Identifier: GPL-2.0-or-later
// From the word `device` to a device: liblmp_uq_cuda.so is loaded where one is asked for, and only there.
#ifndef LMP_UQ_DEVICE_LIBRARY_H
#define LMP_UQ_DEVICE_LIBRARY_H

#include "mace/cuda_library.h"

#include <string>
#include <vector>

namespace lmp_uq {

// Calls of the library named by LMP_UQ_CUDA_LIBRARY, else of liblmp_uq_cuda.so beside the shared object that holds this code. An exception
// says why there is none that can be used.
const lmp_uq_cuda_calls &cuda_library();

struct DeviceChoice {
  int number = -1;       // of the CUDA device, which is in use from now on; -1: the CPU
  int n_devices = 0;     // that there are
  std::string remark;    // why auto took the CPU; empty: nothing to say
};

// word: auto, cpu, cuda or cuda:N. cuda takes the device local_rank % number of devices. auto takes the CPU where cuda would end in an
// exception, which says what was found and, where the word is not known, what is accepted.
DeviceChoice choose_device(const std::string &word, int local_rank);

// A sentence for who asks for float64 on a device of graphics, whose chip has few units for it; empty: nothing to say.
std::string double_precision_remark(int device);

// What `lmp-uq env` says of kernels, driver and devices, one line each.
std::vector<std::string> device_report();

}    // namespace lmp_uq
#endif
