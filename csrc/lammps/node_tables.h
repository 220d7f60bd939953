// SPDX-License-Identifier: GPL-2.0-or-later
// Radial tables of which the ranks of a node keep one copy, in a shared window of MPI; each makes its share of them.
#ifndef LMP_UQ_NODE_TABLES_H
#define LMP_UQ_NODE_TABLES_H

#include "mace/table_store.h"

#include <mpi.h>

#include <string>
#include <vector>

namespace lmp_uq {

// What the environment says of tables.
struct TableWishes {
  bool shared = true;
  double most_bytes = 0.0;      // of a node; infinite where it says nothing

  static TableWishes of_environment();    // std::runtime_error: a value that is not accepted
};

class NodeTables : public TableStore {
 public:
  // collective, and so is the end of the object; n_elements: for messages
  NodeTables(MPI_Comm world, std::size_t n_elements, const TableWishes &wishes);
  ~NodeTables() override;
  NodeTables(const NodeTables &) = delete;
  NodeTables &operator=(const NodeTables &) = delete;

  int rank() const override { return shares_ ? rank_ : 0; }
  int n_ranks() const override { return shares_ ? n_ranks_ : 1; }
  void add_up(std::vector<std::int64_t> &numbers) override;
  void agree(const std::string &failure) override;
  unsigned char *allocate(std::size_t n_bytes) override;
  void keep_apart(const std::string &why) override;
  void barrier() override;

  // std::runtime_error, in every rank of the node, if its memory has no room for tables of that size
  void require_room(double n_bytes) const;
  std::string summary(std::size_t n_bytes) const;    // a line for the log

 private:
  MPI_Comm node_;
  const std::size_t n_elements_;
  const TableWishes wishes_;
  int rank_ = 0, n_ranks_ = 1;
  bool shares_ = true;
  std::string why_private_;    // empty: shared, or one rank alone
  std::vector<MPI_Win> windows_;
  PrivateTables own_;

  unsigned char *window(std::size_t n_bytes);
  std::string obstacle(std::size_t n_bytes) const;
};

}    // namespace lmp_uq
#endif
