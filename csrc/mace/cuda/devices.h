// SPDX-License-Identifier: GPL-2.0-or-later
// Which devices there are, and whether the kernels of this build run on them; errors are exceptions whose text says what was found.
#ifndef LMP_UQ_DEVICES_H
#define LMP_UQ_DEVICES_H

#include "mace/cuda_library.h"

#include <string>

namespace lmp_uq {

std::string cuda_version(int number);    // 13000: "13.0"
int n_devices();                         // 1 or more
lmp_uq_cuda_device describe_device(int device);
void use_device(int device);

}    // namespace lmp_uq
#endif
