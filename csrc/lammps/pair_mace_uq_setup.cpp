// SPDX-License-Identifier: GPL-2.0-or-later
// PairMaceUq: keywords, model file, restart and errors.
#include "pair_mace_uq.h"

#include "compute_uq.h"
#include "guard.h"
#include "launcher_check.h"
#include "pair_mace_uq_impl.h"
#include "setup_warnings.h"
#include "base/text.h"

#include "lammps/atom.h"
#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/force.h"
#include "lammps/memory.h"
#include "lammps/modify.h"
#include "lammps/neighbor.h"
#include "lammps/timer.h"
#include "lammps/update.h"
#include "lammps/utils.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

using namespace LAMMPS_NS;
using lmp_uq::StepClock;

/* ---- errors ---------------------------------------------------------------------------------------------------------------- */

static constexpr char WHO[] = "Pair style mace/uq";

void PairMaceUq::fail_here(const std::string &text) { lmp_uq::fail_here(lmp, WHO, text); }

// What went wrong inside of an exchange that the model asked for comes out as it was.
void PairMaceUq::guarded(const std::function<void()> &work)
{
  impl->pending = nullptr;
  lmp_uq::guarded(lmp, WHO, [&] {
    try {
      work();
    } catch (...) {
      if (impl->pending) std::rethrow_exception(impl->pending);
      throw;
    }
  });
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

namespace {

using Read = std::function<void(const std::string &value)>;

void one_of(LAMMPS *lmp, const std::string &keyword, const std::string &value, const std::vector<std::string> &accepted)
{
  if (std::find(accepted.begin(), accepted.end(), value) == accepted.end())
    lmp->error->all(FLERR, "Pair style mace/uq: unknown {} {} (accepted: {})", keyword, value, lmp_uq::joined(accepted, ", "));
}

// what each keyword does with its value; in the order of messages
std::vector<std::pair<std::string, Read>> keywords(lmp_uq::Settings &s, LAMMPS *lmp)
{
  const auto word = [lmp](const char *keyword, std::string &target, const std::vector<std::string> &accepted) -> std::pair<std::string, Read> {
    return {keyword, [=, &target](const std::string &value) {
              one_of(lmp, keyword, value, accepted);
              target = value;
            }};
  };
  const auto positive = [lmp](const char *keyword, int &target) -> std::pair<std::string, Read> {
    return {keyword, [=, &target](const std::string &value) {
              target = utils::inumeric(FLERR, value, false, lmp);
              if (target < 1) lmp->error->all(FLERR, "Pair style mace/uq: {} must be 1 or more, found {}", keyword, value);
            }};
  };
  return {word("engine", s.engine, {"auto", "torch", "native"}),
          {"device", [&s](const std::string &value) { s.device = value; }},
          word("precision", s.precision, {"float32", "float64", "file"}),
          word("bars_precision", s.bars_precision, {"float32", "same"}),
          positive("members", s.members),
          positive("force_members", s.force_members),
          positive("threads", s.threads),
          {"conservative", [&s, lmp](const std::string &value) { s.conservative = utils::logical(FLERR, value, false, lmp); }},
          {"quantile", [&s, lmp](const std::string &value) {
             one_of(lmp, "quantile", value, {"loglinear", "learned"});
             s.learned = value == "learned";
           }}};
}

}    // namespace

// A second pair_style command comes here too. What the first one loaded was made with other keywords: pair_coeff has to follow again.
void PairMaceUq::settings(int narg, char **arg)
{
  check_host();
  lmp_uq::Settings s;
  const auto known = keywords(s, lmp);
  for (int i = 0; i < narg; i += 2) {
    const std::string keyword = arg[i];
    const auto found = std::find_if(known.begin(), known.end(), [&](const auto &entry) { return entry.first == keyword; });
    if (found == known.end()) {
      std::vector<std::string> names;
      for (const auto &entry : known) names.push_back(entry.first);
      error->all(FLERR, "Unknown pair_style mace/uq keyword {} (accepted: {})", keyword, lmp_uq::joined(names, ", "));
    }
    if (i + 1 >= narg) error->all(FLERR, "Pair style mace/uq: keyword {} needs a value", keyword);
    found->second(arg[i + 1]);
  }
  unload();
  impl->settings = s;
}

void PairMaceUq::unload()
{
  impl->forget();
  impl->evaluator.reset();
  impl->info = {};
  impl->file.clear();
  impl->element_of_type.clear();
  impl->species_of_type.clear();
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
  unload();
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

  impl->settings.local_rank = lmp_uq::local_rank(world);
  // kept only if every rank has one: in Python a failed pair_coeff is an exception, and the next run must find no evaluator, not half of one
  std::unique_ptr<lmp_uq::Evaluator> evaluator;
  std::string note;
  lmp_uq::collective(lmp, WHO, [&] { evaluator = lmp_uq::load_evaluator(impl->settings, file, taking_part, impl->info, note); });
  impl->evaluator = std::move(evaluator);
  impl->file = file;
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
  evaluator_or_error();
  const bool excluded = force->special_lj[1] == 0.0 || force->special_lj[2] == 0.0 || force->special_lj[3] == 0.0;
  if (atom->molecular != 0 && excluded)
    error->all(FLERR, "Pair style mace/uq needs special_bonds lj/coul 1 1 1: zero weights drop bonded neighbours from the list");
  impl->exclusions.forget();
  impl->configuration.begin_run();
  for (const auto &text : lmp_uq::setup_warnings(lmp, impl->element_of_type))
    if (impl->warned.insert(text).second && comm->me == 0) error->warning(FLERR, "Pair style mace/uq: {}", text);
  neighbor->add_request(this, NeighConst::REQ_FULL);
  impl->derivatives_wanted = false;    // computes and fixes are initialized after pair styles and ask again
}

double PairMaceUq::init_one(int, int) { return impl->info.cutoff; }

// at the end of a run
void PairMaceUq::finish()
{
  impl->configuration.settle();
  // values of the last step would be read again after commands that change the atoms; asked for anew they are the same, or an error
  for (Compute *compute : modify->get_compute_list())
    if (dynamic_cast<ComputeUq *>(compute)) {
      compute->invoked_flag = Compute::INVOKED_NONE;
      compute->invoked_scalar = compute->invoked_vector = -1;    // what the library interface looks at
    }
  double all[StepClock::N_SECTIONS], total = 0.0;
  MPI_Allreduce(impl->clock.seconds, all, StepClock::N_SECTIONS, MPI_DOUBLE, MPI_SUM, world);
  impl->clock.reset();    // also where the next run skips its set-up
  for (const double seconds : all) total += seconds;
  if (comm->me != 0 || update->nsteps == 0 || !timer->has_normal() || total <= 0.0) return;
  const auto percent = [&](StepClock::Section section) { return 100.0 * all[section] / total; };
  utils::logmesg(lmp, "mace/uq: {:.4g} s on average of the ranks: edges {:.1f} %, model {:.1f} %, exchange {:.1f} %, bars {:.1f} %\n",
                 total / comm->nprocs, percent(StepClock::EDGES), percent(StepClock::MODEL), percent(StepClock::EXCHANGE),
                 percent(StepClock::BARS));
}

/* ---- restart: keywords, file name and its hash; LAMMPS writes on rank 0 and reads on rank 0 ---------------------------------- */

namespace {

// Begins what this pair style writes. Below zero: versions before had the length of a text there.
constexpr int RESTART_VERSION = -2;
constexpr int LONGEST_TEXT = 1 << 16;

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
  if (n < 0 || n > LONGEST_TEXT)
    lmp->error->all(FLERR, "Pair style mace/uq: the restart file is damaged: a text of {} bytes, accepted: 0 to {}", n, LONGEST_TEXT);
  std::string text(n, '\0');
  if (n) read_and_share(&text[0], n, fp, lmp);
  return text;
}

}    // namespace

void PairMaceUq::write_restart_settings(FILE *fp)
{
  const auto &s = impl->settings;
  fwrite(&RESTART_VERSION, sizeof(int), 1, fp);
  for (const auto &text : {s.device, s.precision, s.bars_precision, s.engine}) write_text(fp, text);
  const int numbers[] = {s.members, s.force_members, s.threads, s.conservative, s.learned};
  fwrite(numbers, sizeof(int), 5, fp);
}

void PairMaceUq::read_restart_settings(FILE *fp)
{
  check_host();
  unload();
  int version = 0;
  read_and_share(&version, 1, fp, lmp);
  if (version != RESTART_VERSION)
    error->all(FLERR, "Pair style mace/uq: the restart file was written by another version of lmp-uq (format {}, accepted: {}); convert it with "
               "that version: lmp -restart2data, then read_data, pair_style and pair_coeff", version, RESTART_VERSION);
  auto &s = impl->settings;
  for (auto *text : {&s.device, &s.precision, &s.bars_precision, &s.engine}) *text = read_text(fp, lmp);
  int numbers[5];
  read_and_share(numbers, 5, fp, lmp);
  s.members = numbers[0];
  s.force_members = numbers[1];
  s.threads = numbers[2];
  s.conservative = numbers[3];
  s.learned = numbers[4];
}

// LAMMPS sets the pair style up before it writes, so a model is loaded
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
