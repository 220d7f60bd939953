// SPDX-License-Identifier: GPL-2.0-or-later
#include "fix_uq_select.h"

#include "field_words.h"
#include "force_computation.h"
#include "guard.h"
#include "over_ranks.h"
#include "output_file.h"
#include "pair_mace_uq.h"

#include "lammps/atom.h"
#include "lammps/comm.h"
#include "lammps/domain.h"
#include "lammps/error.h"
#include "lammps/force.h"
#include "lammps/update.h"
#include "lammps/utils.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

using namespace LAMMPS_NS;

static constexpr char WHO[] = "Fix uq/select";
enum Column { ID, TYPE, MASS, X, MOMENTUM = X + 3, FORCE = MOMENTUM + 3, FIELDS = FORCE + 3 };    // of a row; as many fields as there are follow
static constexpr bigint MESSAGE = 1 << 14;    // numbers sent at once: a count of MPI has 32 bits only

FixUqSelect::FixUqSelect(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg), out(lmp, WHO)
{
  if (narg < 9) utils::missing_cmd_args(FLERR, "fix uq/select (N field lo hi file F [max m] [append yes|no])", error);
  nevery = utils::inumeric(FLERR, arg[3], false, lmp);
  if (nevery < 1) error->all(FLERR, "Fix uq/select: N must be 1 or more, found {}", arg[3]);
  int at = 4;
  column = lmp_uq::WatchedColumn::read(lmp, WHO, narg, arg, at);
  if (at + 1 >= narg) utils::missing_cmd_args(FLERR, "fix uq/select (N field lo hi file F [max m] [append yes|no])", error);
  lo = utils::numeric(FLERR, arg[at], false, lmp);
  column.check_limit(lmp, WHO, lo);
  hi = upper_limit(arg[at + 1]);
  if (hi <= lo) error->all(FLERR, "Fix uq/select: hi must be above lo, found {} {}", arg[at], arg[at + 1]);
  std::string file;
  for (int i = at + 2; i < narg;) {
    if (lmp_uq::read_pair(lmp, WHO, narg, arg, i, number)) continue;
    const std::string keyword = arg[i];
    if (i + 1 >= narg) error->all(FLERR, "Fix uq/select: keyword {} needs a value", keyword);
    if (keyword == "file")
      file = arg[i + 1];
    else if (keyword == "max")
      maximum = utils::bnumeric(FLERR, arg[i + 1], false, lmp);
    else if (keyword == "append")
      append = utils::logical(FLERR, arg[i + 1], false, lmp);
    else
      error->all(FLERR, "Unknown fix uq/select keyword {} (accepted: file, max, append, pair)", keyword);
    i += 2;
  }
  if (file.empty()) error->all(FLERR, "Fix uq/select needs: file F");
  if (maximum < 1) error->all(FLERR, "Fix uq/select: max must be 1 or more, found {}", maximum);
  scalar_flag = 1;
  extscalar = 0;
  global_freq = 1;
  restart_global = 1;
  dynamic_group_allow = 1;
  PairMaceUq::find(lmp, WHO, number);
  column.require(lmp, WHO, number, next_check());
  out.open(file, append, lmp_uq::broken_frames);
}

// a threshold left out shows here first: the words behind it move up by one
double FixUqSelect::upper_limit(const std::string &word) const
{
  if (word == "INF") return HUGE_VAL;
  if (!utils::is_double(word))
    error->all(FLERR, "Fix uq/select: hi of {} is {} (accepted: a number or INF{})", column.text(), word,
               column.is_field() && column.field().has_threshold() ? "; the threshold stands before lo and hi" : "");
  return utils::numeric(FLERR, word, false, lmp);
}

int FixUqSelect::setmask() { return FixConst::POST_FORCE | FixConst::POST_FORCE_RESPA | FixConst::END_OF_STEP; }

void FixUqSelect::init()
{
  const PairMaceUq &pair = *PairMaceUq::find(lmp, WHO, number);
  column.require(lmp, WHO, number, next_check());
  fields.clear();
  const lmp_uq::Field field = column.field();
  const int paid = column.is_field() ? pair.model().passes(field.index) : 0;    // of dearer fields nobody has paid the passes
  for (int k = 0; k < UQ_N_FIELDS; k++)
    if (pair.model().info.available[k] && pair.model().passes(k) <= paid &&
        (k == field.index || lmp_uq::FIELDS[k].threshold != lmp_uq::Threshold::Needed))
      fields.push_back({k, k == field.index ? field.threshold : 0.0});
}

bigint FixUqSelect::next_check() const { return (update->ntimestep / nevery + 1) * nevery; }

std::size_t FixUqSelect::width() const { return FIELDS + fields.size() + (column.is_field() ? 0 : 1); }

// frames of a rerun have no other hook
void FixUqSelect::setup(int vflag) { post_force(vflag); }

// of several levels, and of trial moves of Monte Carlo fixes, the last one of a step stays
void FixUqSelect::post_force_respa(int vflag, int, int) { post_force(vflag); }

void FixUqSelect::post_force(int)
{
  if (written >= maximum || update->ntimestep % nevery != 0) return;
  moment.step = update->ntimestep;
  lmp_uq::guarded(lmp, WHO, [&] {
    moment.tags.assign(atom->tag, atom->tag + atom->nlocal);
    moment.x.resize(3 * static_cast<std::size_t>(atom->nlocal));
    if (atom->nlocal) std::copy_n(atom->x[0], moment.x.size(), moment.x.begin());
  });
  const double box[6] = {domain->xprd, domain->yprd, domain->zprd, domain->xy, domain->xz, domain->yz};
  std::copy_n(box, 6, moment.box);
}

void FixUqSelect::end_of_step()
{
  if (written < maximum) lmp_uq::guarded(lmp, WHO, [&] { look(); });
}

void FixUqSelect::look()
{
  PairMaceUq &pair = *PairMaceUq::find(lmp, WHO, number);
  const auto worst = column.maximum(lmp, WHO, number, groupbit, next_check());
  if (worst.tag == 0 || worst.value < lo || worst.value > hi) return;
  check_moment();
  const double energy = pair.last().energy();
  const auto rows = gather(own_rows(pair.last()));
  out.add(comm->me == 0 ? format_frame(pair, rows, energy, worst) : "");
  written++;
  if (written == maximum && comm->me == 0)
    utils::logmesg(lmp, "{} {}: {} holds {} frames, the maximum; no more are written\n", WHO, id, out.name(), maximum);
}

double FixUqSelect::compute_scalar() { return static_cast<double>(written); }

// positions were kept atom by atom in the order of the forces
void FixUqSelect::check_moment()
{
  const bool same_atoms = moment.step == update->ntimestep && moment.tags.size() == static_cast<std::size_t>(atom->nlocal) &&
      std::equal(moment.tags.begin(), moment.tags.end(), atom->tag);
  if (!lmp_uq::on_every_rank(world, same_atoms))
    error->all(FLERR, "{} {}: atoms came, went or were moved to another place in memory between the forces and the end of step {}", WHO, id,
               update->ntimestep);
}

// all atoms of this rank, whatever the group: a frame for DFT is the whole cell
std::vector<double> FixUqSelect::own_rows(lmp_uq::ForceComputation &last)
{
  std::vector<double> rows(static_cast<std::size_t>(atom->nlocal) * width());
  std::vector<const double *> values;
  for (const auto &field : fields) values.push_back(last.field(field));
  const double *forces = last.model_forces(), *part = last.participation();
  const double to_momentum = std::sqrt(force->mvv2e);    // u Angstrom/ps to sqrt(u eV), so that p^2/2m is in eV
  for (int i = 0; i < atom->nlocal; i++) {
    double *row = rows.data() + i * width();
    row[ID] = static_cast<double>(atom->tag[i]);
    row[TYPE] = part[i] != 0.0 ? atom->type[i] : 0;
    row[MASS] = atom->rmass ? atom->rmass[i] : atom->mass[atom->type[i]];
    for (int k = 0; k < 3; k++) {
      row[X + k] = moment.x[3 * static_cast<std::size_t>(i) + k];
      row[MOMENTUM + k] = row[MASS] * atom->v[i][k] * to_momentum;
      row[FORCE + k] = forces[3 * static_cast<std::size_t>(i) + k];
    }
    for (std::size_t k = 0; k < values.size(); k++) row[FIELDS + k] = values[k][i];
    if (!column.is_field()) row[FIELDS + values.size()] = column.value(lmp, WHO, i);
  }
  return rows;
}

// the rows of all ranks on rank 0, nothing elsewhere
std::vector<double> FixUqSelect::gather(std::vector<double> rows)
{
  const bigint n = static_cast<bigint>(rows.size());
  std::vector<bigint> counts(comm->nprocs);
  MPI_Gather(&n, 1, MPI_LMP_BIGINT, counts.data(), 1, MPI_LMP_BIGINT, 0, world);
  const auto in_parts = [](double *from, bigint count, auto &&work) {
    for (bigint k = 0; k < count; k += MESSAGE) work(from + k, static_cast<int>(std::min(MESSAGE, count - k)));
  };
  if (comm->me != 0) {
    in_parts(rows.data(), n, [&](double *part, int size) { MPI_Send(part, size, MPI_DOUBLE, 0, 0, world); });
    return {};
  }
  rows.resize(std::accumulate(counts.begin(), counts.end(), bigint(0)));
  double *next = rows.data() + n;
  for (int rank = 1; rank < comm->nprocs; next += counts[rank++])
    in_parts(next, counts[rank], [&](double *part, int size) { MPI_Recv(part, size, MPI_DOUBLE, rank, 0, world, MPI_STATUS_IGNORE); });
  return rows;
}

std::string FixUqSelect::format_frame(PairMaceUq &pair, const std::vector<double> &rows, double energy, const lmp_uq::AtomMaximum &worst)
{
  const std::size_t n = rows.size() / width();
  std::vector<const double *> sorted(n);
  for (std::size_t i = 0; i < n; i++) sorted[i] = rows.data() + i * width();
  std::sort(sorted.begin(), sorted.end(), [](const double *a, const double *b) { return a[ID] < b[ID]; });

  const double *box = moment.box;
  const auto periodic = [](int yes) { return yes ? "T" : "F"; };
  auto text = fmt::format("{}\nLattice=\"{:.16g} 0.0 0.0 {:.16g} {:.16g} 0.0 {:.16g} {:.16g} {:.16g}\" pbc=\"{} {} {}\" ", n, box[0], box[3],
                          box[1], box[4], box[5], box[2], periodic(domain->xperiodic), periodic(domain->yperiodic), periodic(domain->zperiodic));
  text += fmt::format("step={} selected_by={} selected_value={:.8g} selected_atom={} mace_energy={:.12g} ", update->ntimestep,
                      column.name(), worst.value, worst.tag, energy);
  if (column.is_field() && column.field().has_threshold()) text += fmt::format("selected_threshold={} ", column.field().threshold);
  text += "Properties=species:S:1:pos:R:3:id:I:1:masses:R:1:momenta:R:3:mace_forces:R:3";
  for (const auto &field : fields) text += fmt::format(":{}:R:1", field.info().name);
  if (!column.is_field()) text += fmt::format(":{}:R:1", column.name());
  text += "\n";
  for (const double *row : sorted) {
    const std::string element = row[TYPE] == 0.0 ? "NULL" : pair.model().element_of_type[static_cast<int>(row[TYPE])];
    // X is the extxyz readers' name of an atom without element: here one that takes no part, as the types of another style of a hybrid
    text += fmt::format("{} {:.10f} {:.10f} {:.10f} {:.0f} {:.8g}", element == "NULL" ? "X" : element, row[X], row[X + 1], row[X + 2], row[ID],
                        row[MASS]);
    for (std::size_t k = MOMENTUM; k < width(); k++) text += fmt::format(" {:.8g}", row[k]);
    text += "\n";
  }
  return text;
}

/* ---- restart: the frames written so far; a file that is not kept begins anew, and so does the count -------------------------------- */

void FixUqSelect::write_restart(FILE *fp)
{
  if (comm->me != 0) return;
  const int size = sizeof(bigint);
  fwrite(&size, sizeof(int), 1, fp);
  fwrite(&written, sizeof(bigint), 1, fp);
}

void FixUqSelect::restart(char *buffer)
{
  if (append) memcpy(&written, buffer, sizeof(bigint));
}

double FixUqSelect::memory_usage() { return moment.tags.capacity() * sizeof(tagint) + moment.x.capacity() * sizeof(double); }
