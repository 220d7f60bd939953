/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Preloaded by tests/lammps/test_lammps_tables.py: MPI makes no shared window, as seen by one rank of those that ask for it. */
#include <mpi.h>

int MPI_Win_allocate_shared(MPI_Aint size, int unit, MPI_Info info, MPI_Comm comm, void *memory, MPI_Win *window)
{
  const int code = PMPI_Win_allocate_shared(size, unit, info, comm, memory, window);
  int rank = 0;
  PMPI_Comm_rank(comm, &rank);
  return rank == 1 ? MPI_ERR_NO_MEM : code;
}
