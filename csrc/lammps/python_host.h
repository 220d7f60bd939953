// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_UQ_PYTHON_HOST_H
#define LMP_UQ_PYTHON_HOST_H

#include "bridge.h"

namespace lmp_uq {

// Finds the interpreter of this process or starts one, and lets lmp_uq._bridge fill the table.
// Throws std::runtime_error when there is no interpreter to be had or the bridge is of another version.
const uq_bridge &python_bridge();

}    // namespace lmp_uq
#endif
