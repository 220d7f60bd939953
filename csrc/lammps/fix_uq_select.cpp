// SPDX-License-Identifier: GPL-2.0-or-later
#include "fix_uq_select.h"

#include "atom_maximum.h"
#include "extxyz_file.h"
#include "fields.h"
#include "pair_mace_uq.h"

#include "lammps/atom.h"
#include "lammps/comm.h"
#include "lammps/domain.h"
#include "lammps/error.h"
#include "lammps/update.h"
#include "lammps/utils.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;

static constexpr int FIXED_COLUMNS = 5;    // id type x y z, before the fields

FixUqSelect::FixUqSelect(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg)
{
  if (narg < 9) utils::missing_cmd_args(FLERR, "fix uq/select (N field lo hi file F [max m] [append yes|no])", error);
  nevery = utils::inumeric(FLERR, arg[3], false, lmp);
  if (nevery < 1) error->all(FLERR, "Fix uq/select: N must be 1 or more, found {}", arg[3]);
  field = lmp_uq::find_field(arg[4]);
  if (field < 0) error->all(FLERR, "Unknown fix uq/select field {} (accepted: {})", arg[4], lmp_uq::field_names());
  lo = utils::numeric(FLERR, arg[5], false, lmp);
  hi = strcmp(arg[6], "INF") == 0 ? HUGE_VAL : utils::numeric(FLERR, arg[6], false, lmp);
  if (hi <= lo) error->all(FLERR, "Fix uq/select: hi must be above lo, found {} {}", arg[5], arg[6]);
  for (int i = 7; i < narg; i += 2) {
    const std::string keyword = arg[i];
    if (i + 1 >= narg) error->all(FLERR, "Fix uq/select: keyword {} needs a value", keyword);
    if (keyword == "file")
      file = arg[i + 1];
    else if (keyword == "max")
      maximum = utils::bnumeric(FLERR, arg[i + 1], false, lmp);
    else if (keyword == "append")
      append = utils::logical(FLERR, arg[i + 1], false, lmp);
    else
      error->all(FLERR, "Unknown fix uq/select keyword {} (accepted: file, max, append)", keyword);
  }
  if (file.empty()) error->all(FLERR, "Fix uq/select needs: file F");
  if (maximum < 1) error->all(FLERR, "Fix uq/select: max must be 1 or more, found {}", maximum);
  scalar_flag = 1;
  extscalar = 0;
  global_freq = 1;
  pair = PairMaceUq::find(lmp, "Fix uq/select");
  pair->require_field(field, "Fix uq/select");
  if (!append && comm->me == 0) remove(file.c_str());    // as dump does: the file tells of this run
}

int FixUqSelect::setmask() { return FixConst::END_OF_STEP; }

void FixUqSelect::init()
{
  pair = PairMaceUq::find(lmp, "Fix uq/select");
  pair->require_field(field, "Fix uq/select");
  columns.clear();
  const bool dear = lmp_uq::needs_pulls(field);    // else nobody has paid for these fields
  for (int k = 0; k < UQ_N_FIELDS; k++)
    if (pair->has_field(k) && (dear || !lmp_uq::needs_pulls(k))) columns.push_back(k);
}

void FixUqSelect::end_of_step()
{
  if (written >= maximum) return;
  const auto worst = lmp_uq::find_maximum(lmp, *pair, field, groupbit);
  if (worst.tag == 0 || worst.value < lo || worst.value > hi) return;
  const double energy = pair->energy();
  const auto atoms = gather();
  write(comm->me == 0 ? format_frame(atoms, energy, worst) : "");
  written++;
  if (written == maximum && comm->me == 0)
    utils::logmesg(lmp, "Fix uq/select {}: {} holds {} frames, the maximum; no more are written\n", id, file, maximum);
}

double FixUqSelect::compute_scalar() { return static_cast<double>(written); }

// all atoms of the frame, whatever the group: a frame for DFT is the whole cell. Rows on rank 0, empty elsewhere.
std::vector<double> FixUqSelect::gather()
{
  const int width = FIXED_COLUMNS + static_cast<int>(columns.size());
  std::vector<double> mine(static_cast<std::size_t>(atom->nlocal) * width + 1);
  std::vector<const double *> fields;
  for (int column : columns) fields.push_back(pair->field(column));
  for (int i = 0; i < atom->nlocal; i++) {
    double *row = mine.data() + static_cast<std::size_t>(i) * width;
    row[0] = static_cast<double>(atom->tag[i]);
    row[1] = pair->takes_part_atom(i) ? atom->type[i] : 0;
    for (int k = 0; k < 3; k++) row[2 + k] = atom->x[i][k];
    for (std::size_t k = 0; k < fields.size(); k++) row[FIXED_COLUMNS + k] = fields[k][i];
  }
  const int n = atom->nlocal * width;
  std::vector<int> counts(comm->nprocs), offsets(comm->nprocs, 0);
  MPI_Gather(&n, 1, MPI_INT, counts.data(), 1, MPI_INT, 0, world);
  for (int p = 1; p < comm->nprocs; p++) offsets[p] = offsets[p - 1] + counts[p - 1];
  std::vector<double> all(comm->me == 0 ? static_cast<std::size_t>(atom->natoms) * width + 1 : 1);
  MPI_Gatherv(mine.data(), n, MPI_DOUBLE, all.data(), counts.data(), offsets.data(), MPI_DOUBLE, 0, world);
  all.pop_back();
  return all;
}

std::string FixUqSelect::format_frame(const std::vector<double> &atoms, double energy, const lmp_uq::AtomMaximum &worst)
{
  const std::size_t width = FIXED_COLUMNS + columns.size(), n = atoms.size() / width;
  std::vector<const double *> rows(n);
  for (std::size_t i = 0; i < n; i++) rows[i] = atoms.data() + i * width;
  std::sort(rows.begin(), rows.end(), [](const double *a, const double *b) { return a[0] < b[0]; });

  auto text = fmt::format("{}\nLattice=\"{:.16g} 0.0 0.0 {:.16g} {:.16g} 0.0 {:.16g} {:.16g} {:.16g}\" pbc=\"{} {} {}\" ", n,
                          domain->xprd, domain->xy, domain->yprd, domain->xz, domain->yz, domain->zprd, domain->xperiodic ? "T" : "F",
                          domain->yperiodic ? "T" : "F", domain->zperiodic ? "T" : "F");
  text += fmt::format("step={} selected_by={} selected_value={:.8g} selected_atom={} mace_energy={:.12g} ", update->ntimestep,
                      lmp_uq::FIELDS[field].name, worst.value, worst.tag, energy);
  text += "Properties=species:S:1:pos:R:3:id:I:1";
  for (int column : columns) text += fmt::format(":{}:R:1", lmp_uq::FIELDS[column].name);
  text += "\n";
  for (const double *row : rows) {
    const std::string element = row[1] == 0.0 ? "NULL" : pair->element(static_cast<int>(row[1]));
    // X is the extxyz readers' name of an atom without element: here one that takes no part, as the types of another style of a hybrid
    text += fmt::format("{} {:.10f} {:.10f} {:.10f} {:.0f}", element == "NULL" ? "X" : element, row[2], row[3], row[4], row[0]);
    for (std::size_t k = FIXED_COLUMNS; k < width; k++) text += fmt::format(" {:.8g}", row[k]);
    text += "\n";
  }
  return text;
}

void FixUqSelect::write(const std::string &frame)
{
  char text[1024] = "";
  if (comm->me == 0) {
    const std::string failure = lmp_uq::append_whole(file, frame);
    strncpy(text, failure.c_str(), sizeof(text) - 1);
  }
  MPI_Bcast(text, sizeof(text), MPI_CHAR, 0, world);
  if (text[0]) error->all(FLERR, "Fix uq/select: {}", text);
}
