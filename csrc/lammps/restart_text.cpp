// SPDX-License-Identifier: GPL-2.0-or-later
#include "restart_text.h"

#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/lammps.h"
#include "lammps/utils.h"

using namespace LAMMPS_NS;

static constexpr int LONGEST_TEXT = 1 << 16;

template <typename T> static void read_and_share(T *values, int n, FILE *fp, LAMMPS *lmp)
{
  if (lmp->comm->me == 0) utils::sfread(FLERR, values, sizeof(T), n, fp, nullptr, lmp->error);
  MPI_Bcast(values, static_cast<int>(n * sizeof(T)), MPI_BYTE, 0, lmp->world);
}

void lmp_uq::read_numbers(int *numbers, int n, FILE *fp, LAMMPS *lmp) { read_and_share(numbers, n, fp, lmp); }

void lmp_uq::write_text(FILE *fp, const std::string &text)
{
  const int n = static_cast<int>(text.size());
  fwrite(&n, sizeof(int), 1, fp);
  fwrite(text.data(), sizeof(char), n, fp);
}

std::string lmp_uq::read_text(FILE *fp, LAMMPS *lmp)
{
  int n = 0;
  read_and_share(&n, 1, fp, lmp);
  if (n < 0 || n > LONGEST_TEXT)
    lmp->error->all(FLERR, "Pair style mace/uq: the restart file is damaged: a text of {} bytes, accepted: 0 to {}", n, LONGEST_TEXT);
  std::string text(n, '\0');
  if (n) read_and_share(&text[0], n, fp, lmp);
  return text;
}
