// SPDX-License-Identifier: GPL-2.0-or-later
// PairMaceUq: keywords, model file, restart, errors and ghost exchange.
#include "pair_mace_uq.h"

#include "launcher_check.h"
#include "pair_mace_uq_impl.h"
#include "text.h"

#include "lammps/atom.h"
#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/force.h"
#include "lammps/memory.h"
#include "lammps/neighbor.h"
#include "lammps/update.h"
#include "lammps/utils.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

using namespace LAMMPS_NS;

static constexpr char KEYWORDS[] = "engine, device, precision, bars_precision, members, force_members, threads, conservative, quantile";

/* ---- errors ---------------------------------------------------------------------------------------------------------------- */

// Set-up runs on every rank: the text of the lowest failing rank, once, then the same error on all of them.
void PairMaceUq::collective(const std::function<void()> &work, const char *what)
{
  std::vector<char> text(UQ_MESSAGE_LENGTH, '\0');
  int failing = comm->nprocs, first = 0;
  try {
    work();
  } catch (const std::exception &failure) {
    failing = comm->me;
    strncpy(text.data(), lmp_uq::printable(failure.what()).c_str(), UQ_MESSAGE_LENGTH - 1);
  }
  MPI_Allreduce(&failing, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == comm->nprocs) return;
  MPI_Bcast(text.data(), UQ_MESSAGE_LENGTH, MPI_CHAR, first, world);
  error->all(FLERR, "{}: {}", what, text.data());
}

// During a run one rank may fail alone while the others wait inside an exchange. LAMMPS' error->one ends all ranks only where LAMMPS owns
// the process, and then before mpiexec has read the message; where Python does, it throws on this rank and the others would wait for ever.
void PairMaceUq::fail_here(const std::string &text)
{
  const std::string message = fmt::format("Pair style mace/uq on step {}: {}", update->ntimestep, lmp_uq::printable(text));
  if (comm->nprocs == 1) error->one(FLERR, message);
  const std::string line = fmt::format("ERROR on proc {}: {}", comm->me, message);
  if (logfile) fmt::print(logfile, "{}\n", line);
  lmp_uq::abort_all_ranks(line);
}

void PairMaceUq::guarded(const std::function<void()> &work)
{
  impl->pending = nullptr;
  try {
    work();
  } catch (const std::runtime_error &failure) {
    if (impl->pending) std::rethrow_exception(impl->pending);    // LAMMPS' own exception, passed on unchanged
    fail_here(failure.what());
  }
}

/* ---- input commands -------------------------------------------------------------------------------------------------------- */

void PairMaceUq::check_host()
{
  if (strcmp(update->unit_style, "metal") != 0)
    error->all(FLERR, "Pair style mace/uq needs units metal (eV, Angstrom, ps), found units {}", update->unit_style);
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const std::string mismatch = lmp_uq::launcher_mismatch(size);
  if (!mismatch.empty()) error->all(FLERR, "Pair style mace/uq: {}", mismatch);
}

void PairMaceUq::settings(int narg, char **arg)
{
  check_host();
  lmp_uq::Settings s;
  std::string quantile = "loglinear";
  const std::string known = std::string(", ") + KEYWORDS + ", ";
  for (int i = 0; i < narg; i += 2) {
    const std::string keyword = arg[i];
    if (known.find(", " + keyword + ", ") == std::string::npos)
      error->all(FLERR, "Unknown pair_style mace/uq keyword {} (accepted: {})", keyword, KEYWORDS);
    if (i + 1 >= narg) error->all(FLERR, "Pair style mace/uq: keyword {} needs a value", keyword);
    const std::string value = arg[i + 1];
    auto positive = [&] {
      const int number = utils::inumeric(FLERR, value, false, lmp);
      if (number < 1) error->all(FLERR, "Pair style mace/uq: {} must be 1 or more, found {}", keyword, value);
      return number;
    };
    if (keyword == "members")
      s.members = positive();
    else if (keyword == "force_members")
      s.force_members = positive();
    else if (keyword == "threads")
      s.threads = positive();
    else if (keyword == "engine")
      s.engine = value;
    else if (keyword == "device")
      s.device = value;
    else if (keyword == "precision")
      s.precision = value;
    else if (keyword == "bars_precision")
      s.bars_precision = value;
    else if (keyword == "quantile")
      quantile = value;
    else if (keyword == "conservative")
      s.conservative = utils::logical(FLERR, value, false, lmp);
  }
  if (s.precision != "file" && s.precision != "float32" && s.precision != "float64")
    error->all(FLERR, "Pair style mace/uq: unknown precision {} (accepted: float32, float64, file)", s.precision);
  if (s.bars_precision != "float32" && s.bars_precision != "same")
    error->all(FLERR, "Pair style mace/uq: unknown bars_precision {} (accepted: float32, same)", s.bars_precision);
  if (s.engine != "auto" && s.engine != "torch" && s.engine != "native")
    error->all(FLERR, "Pair style mace/uq: unknown engine {} (accepted: auto, torch, native)", s.engine);
  if (quantile != "loglinear" && quantile != "learned")
    error->all(FLERR, "Pair style mace/uq: unknown quantile {} (accepted: loglinear, learned)", quantile);
  s.learned = quantile == "learned";
  impl->settings = s;
}

void PairMaceUq::coeff(int narg, char **arg)
{
  if (narg < 3 || strcmp(arg[0], "*") != 0 || strcmp(arg[1], "*") != 0)
    error->all(FLERR, "Pair style mace/uq accepts only: pair_coeff * * file.uq element-of-type-1 element-of-type-2 ...");
  if (narg != 3 + atom->ntypes)
    error->all(FLERR, "Pair style mace/uq: pair_coeff names {} elements, the system has {} atom types: one element (or NULL) per type",
               narg - 3, atom->ntypes);
  load(arg[2], arg + 3);
}

void PairMaceUq::allocate()
{
  if (allocated) return;
  memory->create(setflag, atom->ntypes + 1, atom->ntypes + 1, "pair:setflag");
  memory->create(cutsq, atom->ntypes + 1, atom->ntypes + 1, "pair:cutsq");
  allocated = 1;
}

// a second pair_coeff comes here too and replaces the first as a whole
void PairMaceUq::load(const std::string &file, char **elements)
{
  allocate();
  const int n = atom->ntypes;
  std::vector<std::string> taking_part;
  impl->element_of_type.assign(n + 1, "NULL");
  impl->species_of_type.assign(n + 1, -1);
  for (int type = 1; type <= n; type++) {
    impl->element_of_type[type] = elements[type - 1];
    if (impl->element_of_type[type] == "NULL") continue;
    impl->species_of_type[type] = static_cast<int>(taking_part.size());
    taking_part.push_back(impl->element_of_type[type]);
  }
  for (int i = 1; i <= n; i++)
    for (int j = 1; j <= n; j++) setflag[i][j] = impl->species_of_type[i] >= 0 && impl->species_of_type[j] >= 0;

  impl->forget();
  impl->file = file;
  impl->settings.local_rank = lmp_uq::local_rank(world);
  // kept only if every rank has one: in Python a failed pair_coeff is an exception, and the next run must find no evaluator, not half of one
  std::unique_ptr<lmp_uq::Evaluator> evaluator;
  impl->evaluator.reset();
  std::string note;
  collective([&] { evaluator = lmp_uq::load_evaluator(impl->settings, file, taking_part, impl->info, note); }, "Pair style mace/uq");
  impl->evaluator = std::move(evaluator);
  if (comm->me == 0) {
    if (!note.empty()) utils::logmesg(lmp, "mace/uq: {}\n", note);
    utils::logmesg(lmp, "mace/uq: {}\n", impl->info.summary);
    if (impl->info.warning[0]) error->warning(FLERR, "mace/uq: {}", impl->info.warning);
  }
}

void PairMaceUq::init_style()
{
  if (force->newton_pair == 0) error->all(FLERR, "Pair style mace/uq needs newton pair on, found newton pair off");
  if (atom->tag_enable == 0) error->all(FLERR, "Pair style mace/uq needs atom IDs, found atom_modify id no");
  if (!impl->evaluator) error->all(FLERR, "Pair style mace/uq: all pair coeffs are not set: pair_coeff * * file.uq elements");
  const bool excluded = force->special_lj[1] == 0.0 || force->special_lj[2] == 0.0 || force->special_lj[3] == 0.0;
  if (atom->molecular != 0 && excluded)
    error->all(FLERR, "Pair style mace/uq needs special_bonds lj/coul 1 1 1: zero weights drop bonded neighbours from the list");
  neighbor->add_request(this, NeighConst::REQ_FULL);
  impl->derivatives_wanted = false;    // computes and fixes are initialized after pair styles and ask again
}

double PairMaceUq::init_one(int, int) { return impl->info.cutoff; }

/* ---- restart: keywords, file name and its hash; LAMMPS writes on rank 0 and reads on rank 0 ---------------------------------- */

namespace {

void write_text(FILE *fp, const std::string &text)
{
  const int n = static_cast<int>(text.size());
  fwrite(&n, sizeof(int), 1, fp);
  fwrite(text.data(), sizeof(char), n, fp);
}

template <typename T> void read_and_share(T *values, int n, FILE *fp, LAMMPS *lmp)
{
  if (lmp->comm->me == 0) utils::sfread(FLERR, values, sizeof(T), n, fp, nullptr, lmp->error);
  MPI_Bcast(values, static_cast<int>(n * sizeof(T)), MPI_BYTE, 0, lmp->world);
}

std::string read_text(FILE *fp, LAMMPS *lmp)
{
  int n = 0;
  read_and_share(&n, 1, fp, lmp);
  std::string text(n, '\0');
  if (n) read_and_share(&text[0], n, fp, lmp);
  return text;
}

}    // namespace

void PairMaceUq::write_restart_settings(FILE *fp)
{
  const auto &s = impl->settings;
  write_text(fp, s.device);
  write_text(fp, s.precision);
  write_text(fp, s.bars_precision);
  write_text(fp, s.engine);
  const int numbers[] = {s.members, s.force_members, s.threads, s.conservative, s.learned};
  fwrite(numbers, sizeof(int), 5, fp);
}

void PairMaceUq::read_restart_settings(FILE *fp)
{
  check_host();
  auto &s = impl->settings;
  s.device = read_text(fp, lmp);
  s.precision = read_text(fp, lmp);
  s.bars_precision = read_text(fp, lmp);
  s.engine = read_text(fp, lmp);
  int numbers[5];
  read_and_share(numbers, 5, fp, lmp);
  s.members = numbers[0];
  s.force_members = numbers[1];
  s.threads = numbers[2];
  s.conservative = numbers[3];
  s.learned = numbers[4];
}

void PairMaceUq::write_restart(FILE *fp)
{
  write_restart_settings(fp);
  write_text(fp, impl->file);
  write_text(fp, impl->info.sha256);
  for (int type = 1; type <= atom->ntypes; type++) write_text(fp, impl->element_of_type[type]);
}

void PairMaceUq::read_restart(FILE *fp)
{
  read_restart_settings(fp);
  const std::string file = read_text(fp, lmp), sha256 = read_text(fp, lmp);
  std::vector<std::string> elements;
  std::vector<char *> names;
  for (int type = 1; type <= atom->ntypes; type++) elements.push_back(read_text(fp, lmp));
  for (auto &element : elements) names.push_back(&element[0]);
  load(file, names.data());
  if (sha256 != impl->info.sha256)
    error->all(FLERR, "Pair style mace/uq: {} has changed since the restart file was written (sha256 {} then, {} now)", file, sha256,
               impl->info.sha256);
}

/* ---- ghost exchange --------------------------------------------------------------------------------------------------------- */

namespace {

// rows of an array (n_nodes, width)
struct Buffer {
  double *data;
  int width;

  static double *at(void *holder, int node, int first)
  {
    const Buffer &self = *static_cast<const Buffer *>(holder);
    return self.data + static_cast<std::size_t>(node) * self.width + first;
  }
  static void get(void *holder, int node, int first, int n, double *out) { std::copy_n(at(holder, node, first), n, out); }
  static void put(void *holder, int node, int first, int n, const double *in) { std::copy_n(in, n, at(holder, node, first)); }
  static void add(void *holder, int node, int first, int n, const double *in)
  {
    double *row = at(holder, node, first);
    for (int k = 0; k < n; k++) row[k] += in[k];
  }
  uq_rows view() { return {this, width, get, put, add}; }
};

}    // namespace

int PairMaceUq::forward_callback(void *self, double *buffer, int width)
{
  return static_cast<PairMaceUq *>(self)->exchange(buffer, width, true);
}

int PairMaceUq::reverse_callback(void *self, double *buffer, int width)
{
  return static_cast<PairMaceUq *>(self)->exchange(buffer, width, false);
}

int PairMaceUq::forward_rows_callback(void *self, const uq_rows *rows) { return static_cast<PairMaceUq *>(self)->exchange(*rows, true); }

int PairMaceUq::reverse_rows_callback(void *self, const uq_rows *rows) { return static_cast<PairMaceUq *>(self)->exchange(*rows, false); }

// rows of an array (n_nodes, width); reverse leaves zeros in those of ghosts
int PairMaceUq::exchange(double *buffer, int width, bool forward)
{
  const int failed = exchange(Buffer{buffer, width}.view(), forward);
  const std::size_t ghosts = static_cast<std::size_t>(atom->nlocal) * width;
  if (!forward && !failed) std::fill_n(buffer + ghosts, static_cast<std::size_t>(atom->nghost) * width, 0.0);
  return failed;
}

int PairMaceUq::exchange(const uq_rows &rows, bool forward)
{
  try {
    impl->rows = rows;
    for (impl->first_column = 0; impl->first_column < rows.width; impl->first_column += Impl::CHUNK) {
      impl->n_columns = MIN(Impl::CHUNK, rows.width - impl->first_column);
      if (forward)
        comm->forward_comm(this, impl->n_columns);
      else
        comm->reverse_comm(this, impl->n_columns);
    }
    return 0;
  } catch (...) {
    impl->pending = std::current_exception();
    return 1;
  }
}

int PairMaceUq::pack_forward_comm(int n, int *atoms, double *out, int, int *)
{
  for (int i = 0; i < n; i++, out += impl->n_columns) impl->rows.get(impl->rows.holder, atoms[i], impl->first_column, impl->n_columns, out);
  return n * impl->n_columns;
}

void PairMaceUq::unpack_forward_comm(int n, int first, double *in)
{
  for (int i = first; i < first + n; i++, in += impl->n_columns)
    impl->rows.put(impl->rows.holder, i, impl->first_column, impl->n_columns, in);
}

int PairMaceUq::pack_reverse_comm(int n, int first, double *out)
{
  for (int i = first; i < first + n; i++, out += impl->n_columns)
    impl->rows.get(impl->rows.holder, i, impl->first_column, impl->n_columns, out);
  return n * impl->n_columns;
}

void PairMaceUq::unpack_reverse_comm(int n, int *atoms, double *in)
{
  for (int i = 0; i < n; i++, in += impl->n_columns) impl->rows.add(impl->rows.holder, atoms[i], impl->first_column, impl->n_columns, in);
}
