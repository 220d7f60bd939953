// SPDX-License-Identifier: GPL-2.0-or-later
#include "model_source.h"

#include "guard.h"
#include "model_name.h"
#include "base/sha256.h"

#include "lammps/comm.h"
#include "lammps/lammps.h"

#include <mpi.h>

#include <algorithm>
#include <cstdint>
#include <thread>

using namespace LAMMPS_NS;

namespace {

constexpr std::size_t PIECE = std::size_t(1) << 30;    // MPI counts in int

void broadcast(MPI_Comm world, std::string &text)
{
  int length = static_cast<int>(text.size());
  MPI_Bcast(&length, 1, MPI_INT, 0, world);
  text.resize(length);
  MPI_Bcast(&text[0], length, MPI_CHAR, 0, world);
}

// Ranks that wait give their core away: MPICH's MPI_Bcast hands a file on in small parts, each of which would take a slice of time where
// ranks outnumber cores.
void broadcast(MPI_Comm world, unsigned char *bytes, std::size_t n)
{
  for (std::size_t first = 0; first < n; first += PIECE) {
    MPI_Request request;
    MPI_Ibcast(bytes + first, static_cast<int>(std::min(PIECE, n - first)), MPI_UNSIGNED_CHAR, 0, world, &request);
    for (int done = 0; !done;) {
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (!done) std::this_thread::yield();
    }
  }
}

}    // namespace

lmp_uq::ModelSource lmp_uq::read_on_one_rank(LAMMPS *lmp, const std::string &who, const std::string &name)
{
  ModelSource out;
  out.name = name;
  const bool reads = lmp->comm->me == 0;
  collective(lmp, who, [&] {
    if (!reads) return;
    out.path = resolve_model(name);
    out.bytes = ModelFile::bytes(out.path);
    out.sha256 = sha256(out.bytes.data.get(), out.bytes.n);
  });
  broadcast(lmp->world, out.path);
  broadcast(lmp->world, out.sha256);
  std::uint64_t n = out.bytes.n;
  MPI_Bcast(&n, 1, MPI_UINT64_T, 0, lmp->world);
  collective(lmp, who, [&] {
    if (!reads) out.bytes = {std::shared_ptr<unsigned char[]>(new unsigned char[n]), static_cast<std::size_t>(n)};
  });
  broadcast(lmp->world, out.bytes.data.get(), n);
  return out;
}
