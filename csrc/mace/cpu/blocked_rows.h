// SPDX-License-Identifier: GPL-2.0-or-later
// Features ordered by blocks of channels, (block, row, component, channel in block): what edges of a block touch lies close together.
#ifndef LMP_UQ_BLOCKED_ROWS_H
#define LMP_UQ_BLOCKED_ROWS_H

#include "mace/cpu/kernels.h"

#include <cstdint>

namespace lmp_uq {

// n_sets rows for each node
template <class T> struct BlockedRows {
  std::int64_t n_nodes;
  int n_components, n_sets = 1;

  std::size_t block_stride() const { return static_cast<std::size_t>(n_nodes) * n_sets * n_components * block<T>(); }
  std::size_t size(int wide) const { return block_stride() / block<T>() * wide; }
  std::size_t offset(std::int64_t node, int set, int component) const
  {
    return ((static_cast<std::size_t>(node) * n_sets + set) * n_components + component) * block<T>();
  }
  std::size_t offset(std::int64_t node, int set, int component, int channel) const
  {
    return offset(node, set, component) + channel / block<T>() * block_stride() + channel % block<T>();
  }
  // of degree l, of one set: from offset(node, set, l*l) on
  Rows of_degree(int l) const
  {
    return {2 * l + 1, static_cast<std::size_t>(n_sets) * n_components * block<T>(), static_cast<std::size_t>(block<T>()), block<T>(),
            block_stride()};
  }
};

}    // namespace lmp_uq
#endif
