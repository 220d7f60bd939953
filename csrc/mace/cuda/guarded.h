// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_UQ_CUDA_GUARDED_H
#define LMP_UQ_CUDA_GUARDED_H

#include <cstddef>
#include <cstdio>
#include <exception>

namespace lmp_uq {

// no exception leaves the library
template <class F> void guarded(char *problem, int size, F &&f)
{
  problem[0] = 0;
  try {
    f();
  } catch (const std::exception &e) {
    std::snprintf(problem, static_cast<std::size_t>(size), "%s", e.what());
  }
}

}    // namespace lmp_uq
#endif
