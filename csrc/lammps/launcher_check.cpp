// SPDX-License-Identifier: GPL-2.0-or-later
#include "launcher_check.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

// number of ranks as process managers announce it to each process: MPICH, Open MPI, MVAPICH, Slurm steps, Flux, and JSM, which is IBM's jsrun
constexpr const char *SIZES[] = {"PMI_SIZE",      "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS",
                                 "FLUX_JOB_SIZE", "JSM_NAMESPACE_SIZE",   "PALS_LOCAL_SIZE"};
// HPE's PALS announces no more than the ranks of a node, and to each process its own number
constexpr const char *RANKS[] = {"PALS_RANKID"};

int announced(const char *name)
{
  const char *value = getenv(name);
  return value ? atoi(value) : 0;
}

std::string foreign(const std::string &what, const char *name)
{
  return "the launcher announces " + what + " (" + name +
      "), but MPI sees 1: this mpiexec belongs to another MPI than LAMMPS; use the mpiexec of LAMMPS' own MPI";
}

}    // namespace

std::string lmp_uq::launcher_mismatch(int mpi_size)
{
  if (mpi_size != 1) return "";
  for (const char *name : SIZES)
    if (const int n = announced(name); n > 1) return foreign(std::to_string(n) + " ranks", name);
  for (const char *name : RANKS)
    if (const int rank = announced(name); rank > 0) return foreign("rank " + std::to_string(rank) + " of several", name);
  return "";
}

lmp_uq::NodePlace lmp_uq::place_in_node(MPI_Comm communicator)
{
  MPI_Comm node;
  NodePlace place = {0, 1};
  MPI_Comm_split_type(communicator, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  MPI_Comm_rank(node, &place.rank);
  MPI_Comm_size(node, &place.n_ranks);
  MPI_Comm_free(&node);
  return place;
}

// For the Python launcher, which may not hold an MPI binding of the same library: text into message, 1 if there is a mismatch
extern "C" int uq_launcher_mismatch(char *message, int length)
{
  int initialized = 0, size = 1;
  MPI_Initialized(&initialized);
  if (!initialized) MPI_Init(nullptr, nullptr);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const std::string text = lmp_uq::launcher_mismatch(size);
  snprintf(message, length, "%s", text.c_str());
  return !text.empty();
}

// mpiexec drops what it has not yet read from the ranks it ends, and the message of the failing rank with it: flushed bytes get a moment
extern "C" void uq_mpi_abort(int code)
{
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  fflush(nullptr);
  if (size > 1) std::this_thread::sleep_for(std::chrono::seconds(1));
  MPI_Abort(MPI_COMM_WORLD, code);
}

void lmp_uq::abort_all_ranks(const std::string &message)
{
  fprintf(stderr, "%s\n", message.c_str());
  uq_mpi_abort(1);
}
