// SPDX-License-Identifier: GPL-2.0-or-later
#include "guard.h"

#include "bridge.h"
#include "launcher_check.h"
#include "over_ranks.h"
#include "base/text.h"

#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/exceptions.h"
#include "lammps/fmt/format.h"
#include "lammps/lammps.h"
#include "lammps/update.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <vector>

using namespace LAMMPS_NS;

namespace {

// without memory there may be none for the text either
const char *words(const std::exception &failure)
{
  return dynamic_cast<const std::bad_alloc *>(&failure) ? "not enough memory" : failure.what();
}

}    // namespace

void lmp_uq::collective(LAMMPS *lmp, const std::string &who, const std::function<void()> &work)
{
  std::vector<char> text(UQ_MESSAGE_LENGTH, '\0');
  int failing_here = lmp->comm->nprocs;
  try {
    work();
  } catch (const LAMMPSException &) {
    throw;
  } catch (const std::exception &failure) {
    failing_here = lmp->comm->me;
    strncpy(text.data(), printable(words(failure)).c_str(), UQ_MESSAGE_LENGTH - 1);
  }
  const int first = min_over_ranks(lmp->world, failing_here);
  if (first == lmp->comm->nprocs) return;
  MPI_Bcast(text.data(), UQ_MESSAGE_LENGTH, MPI_CHAR, first, lmp->world);
  lmp->error->all(FLERR, "{}: {}", who, text.data());
}

// LAMMPS' error->one ends all ranks only where LAMMPS owns the process, and then before mpiexec has read the message; where Python does, it
// throws on this rank and the others would wait for ever.
void lmp_uq::fail_here(LAMMPS *lmp, const std::string &who, const std::string &text)
{
  const std::string message = fmt::format("{} on step {}: {}", who, lmp->update->ntimestep, printable(text));
  if (lmp->comm->nprocs == 1) lmp->error->one(FLERR, message);
  const std::string line = fmt::format("ERROR on proc {}: {}", lmp->comm->me, message);
  if (lmp->logfile) fmt::print(lmp->logfile, "{}\n", line);
  lmp_uq::abort_all_ranks(line);
  abort();    // not reached
}

void lmp_uq::guarded(LAMMPS *lmp, const std::string &who, const std::function<void()> &work)
{
  try {
    work();
  } catch (const LAMMPSException &) {
    throw;
  } catch (const std::exception &failure) {
    fail_here(lmp, who, words(failure));
  }
}
