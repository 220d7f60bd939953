// SPDX-License-Identifier: GPL-2.0-or-later
// Programs with one fault each, which the emulation has to see.
#ifndef LMP_UQ_PLANTED_FAULTS_H
#define LMP_UQ_PLANTED_FAULTS_H

#include "mace/cuda/device.h"

void list_faults();
int run_fault(const char *name);    // exit code; "none", "streams": the same programs without a fault

#endif
