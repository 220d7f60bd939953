// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_UQ_LAUNCHER_CHECK_H
#define LMP_UQ_LAUNCHER_CHECK_H

#include <mpi.h>
#include <string>

namespace lmp_uq {

// Text for the user if the launcher (environment) announced more ranks than the one that MPI sees, else empty. A foreign mpiexec starts N
// processes that each believe to be alone: N separate runs that overwrite one another's files.
std::string launcher_mismatch(int mpi_size);

struct NodePlace {
  int rank, n_ranks;    // within the node
};

// collective over the communicator
NodePlace place_in_node(MPI_Comm communicator);

// Prints the message and ends every rank with code 1; for one rank that fails while the others wait for it.
void abort_all_ranks(const std::string &message);

}    // namespace lmp_uq
#endif
