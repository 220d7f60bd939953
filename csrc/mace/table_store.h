// SPDX-License-Identifier: GPL-2.0-or-later
// Where radial tables lie, and which of the processes that share that memory makes which of them. One process alone by default.
#ifndef LMP_UQ_TABLE_STORE_H
#define LMP_UQ_TABLE_STORE_H

#include "base/aligned.h"

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace lmp_uq {

// All methods but rank() and n_ranks() are collective: every process of those that share calls them in the same order.
class TableStore {
 public:
  virtual ~TableStore() = default;

  virtual int rank() const { return 0; }
  virtual int n_ranks() const { return 1; }
  virtual void add_up(std::vector<std::int64_t> &) {}    // place by place over the processes
  // std::runtime_error in every process, if one of them has failed and says why
  virtual void agree(const std::string &failure)
  {
    if (!failure.empty()) throw std::runtime_error(failure);
  }
  // Memory that begins at a multiple of 64 bytes, the same in every process; it lives as long as the store. nullptr, in every process: it
  // cannot be shared.
  virtual unsigned char *allocate(std::size_t n_bytes) = 0;
  virtual void keep_apart(const std::string &) {}        // nothing is allocated here: why each process has tables of its own
  virtual void barrier() {}                              // what one wrote before it, the others read after it
};

class PrivateTables : public TableStore {
 public:
  unsigned char *allocate(std::size_t n_bytes) override
  {
    blocks_.emplace_back(n_bytes);
    return blocks_.back().data();
  }

 private:
  std::vector<Aligned<unsigned char>> blocks_;
};

}    // namespace lmp_uq
#endif
