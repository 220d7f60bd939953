// SPDX-License-Identifier: GPL-2.0-or-later
// Memory of arrays, for what LAMMPS says of it before a run.
#ifndef LMP_UQ_BYTES_H
#define LMP_UQ_BYTES_H

#include "base/aligned.h"

#include <cstddef>
#include <vector>

namespace lmp_uq {

template <class T> std::size_t bytes_of(const std::vector<T> &array) { return array.capacity() * sizeof(T); }
template <class T> std::size_t bytes_of(const Aligned<T> &array) { return array.capacity() * sizeof(T); }
template <class First, class Second, class... More> std::size_t bytes_of(const First &first, const Second &second, const More &...more)
{
  return bytes_of(first) + bytes_of(second) + (std::size_t(0) + ... + bytes_of(more));
}

}    // namespace lmp_uq
#endif
