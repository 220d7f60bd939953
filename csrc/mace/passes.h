// SPDX-License-Identifier: GPL-2.0-or-later
// What the passes of all engines have in common.
#ifndef LMP_UQ_PASSES_H
#define LMP_UQ_PASSES_H

#include <stdexcept>

namespace lmp_uq {

constexpr int MAX_SETS = 4;    // cotangents of a pass
constexpr int MOMENTS = 4;     // sets of a pull of moments: unit weights, then x, y and z
static_assert(MAX_SETS % MOMENTS == 0, "a pass takes whole moments");

inline void check_exchange(int failed)
{
  if (failed) throw std::runtime_error("the exchange of ghosts failed");
}

}    // namespace lmp_uq
#endif
