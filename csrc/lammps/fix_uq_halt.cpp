// SPDX-License-Identifier: GPL-2.0-or-later
#include "fix_uq_halt.h"

#include "field_words.h"
#include "guard.h"
#include "loaded_model.h"
#include "pair_mace_uq.h"

#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/input.h"
#include "lammps/modify.h"
#include "lammps/timer.h"
#include "lammps/universe.h"
#include "lammps/update.h"
#include "lammps/utils.h"

#include <cstring>

using namespace LAMMPS_NS;

static constexpr char WHO[] = "Fix uq/halt";
// how the names of fixes begin that exchange something with other partitions on their steps
static constexpr const char *COUPLED[] = {"neb", "pimd", "alchemy", "plumed", "colvars"};

FixUqHalt::FixUqHalt(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg)
{
  if (narg < 7) utils::missing_cmd_args(FLERR, "fix uq/halt (N field > x [consecutive m] [error soft|hard])", error);
  nevery = utils::inumeric(FLERR, arg[3], false, lmp);
  if (nevery < 1) error->all(FLERR, "Fix uq/halt: N must be 1 or more, found {}", arg[3]);
  int at = 4;
  column = lmp_uq::WatchedColumn::read(lmp, WHO, narg, arg, at);
  if (at + 1 >= narg) utils::missing_cmd_args(FLERR, "fix uq/halt (N field > x [consecutive m] [error soft|hard])", error);
  if (strcmp(arg[at], ">") != 0 && strcmp(arg[at], ">=") != 0)
    error->all(FLERR, "Fix uq/halt: unknown operator {} (accepted: >, >=)", arg[at]);
  or_equal = strcmp(arg[at], ">=") == 0;
  threshold = utils::numeric(FLERR, arg[at + 1], false, lmp);
  column.check_limit(lmp, WHO, threshold);
  for (int i = at + 2; i < narg;) read_keyword(narg, arg, i);
  scalar_flag = 1;
  extscalar = 0;
  global_freq = nevery;
  dynamic_group_allow = 1;
  column.require(lmp, WHO, number, next_check());
}

void FixUqHalt::read_keyword(int narg, char **arg, int &i)
{
  if (lmp_uq::read_pair(lmp, WHO, narg, arg, i, number)) return;
  if (i + 1 >= narg) error->all(FLERR, "Fix uq/halt: keyword {} needs a value", arg[i]);
  if (strcmp(arg[i], "consecutive") == 0) {
    consecutive = utils::inumeric(FLERR, arg[i + 1], false, lmp);
    if (consecutive < 1) error->all(FLERR, "Fix uq/halt: consecutive must be 1 or more, found {}", arg[i + 1]);
  } else if (strcmp(arg[i], "error") == 0) {
    hard = strcmp(arg[i + 1], "hard") == 0;
    if (!hard && strcmp(arg[i + 1], "soft") != 0)
      error->all(FLERR, "Fix uq/halt: unknown error mode {} (accepted: soft, hard)", arg[i + 1]);
  } else
    error->all(FLERR, "Unknown fix uq/halt keyword {} (accepted: consecutive, error, pair)", arg[i]);
  i += 2;
}

bigint FixUqHalt::next_check() const { return (update->ntimestep / nevery + 1) * nevery; }

int FixUqHalt::setmask() { return FixConst::END_OF_STEP | FixConst::MIN_POST_FORCE | FixConst::POST_RUN; }

void FixUqHalt::init()
{
  column.require(lmp, WHO, number, next_check());
  const std::string who_waits = hard ? "" : waiting();
  if (!who_waits.empty())
    error->all(FLERR, "{} {}: error soft cannot stop {}, which would wait for ever for steps that a stopped run no longer makes; accepted: error "
               "hard", WHO, id, who_waits);
  minimized = -1;
  if (runs("rerun")) return;    // it initializes for every frame
  count = 0;
  stopped = told = false;
}

// LAMMPS knows the command that it carries out by its name only
bool FixUqHalt::runs(const char *command) const { return input->command && utils::strmatch(input->command, std::string("^") + command); }

// what would wait for a run that was stopped softly, or nothing
std::string FixUqHalt::waiting() const
{
  for (const Fix *fix : modify->get_fix_list()) {
    const std::string style = fix->style;
    if (style.rfind("EVENT/", 0) == 0) return "command " + utils::lowercase(style.substr(6));    // prd, tad, hyper: one partition is enough
    for (const char *start : COUPLED)
      if (universe->nworlds > 1 && style.rfind(start, 0) == 0) return "one of the partitions of fix " + std::string(fix->id) + " (" + style + ")";
  }
  if (strcmp(update->integrate_style, "verlet/split") == 0) return "one of the partitions of run_style verlet/split";
  return "";
}

// A line search computes forces several times in one step: only the first counts, as in fix halt
void FixUqHalt::min_post_force(int)
{
  if (update->ntimestep == minimized || update->ntimestep % nevery != 0) return;
  minimized = update->ntimestep;
  end_of_step();
}

void FixUqHalt::end_of_step()
{
  lmp_uq::guarded(lmp, WHO, [&] { look(); });
}

void FixUqHalt::look()
{
  const auto worst = column.maximum(lmp, WHO, number, groupbit, next_check());
  last = worst.value;
  const bool beyond = worst.tag > 0 && (or_equal ? worst.value >= threshold : worst.value > threshold);
  count = beyond ? count + 1 : 0;
  if (count < consecutive) return;

  const bool rerun = runs("rerun");
  const auto message = fmt::format("{} {}: {} at step {}: {} = {:.6g} {} {:g} ({}) on atom {} ({}), check {} in a row", WHO, id,
                                   rerun && !hard ? "beyond" : "run stops", update->ntimestep, column.text(), worst.value,
                                   or_equal ? ">=" : ">", threshold, column.unit(), worst.tag, element(worst.type), count);
  if (hard) error->all(FLERR, message);
  count = 0;
  if (rerun) {    // its loop looks at nothing that could end it
    if (!told && comm->me == 0) utils::logmesg(lmp, message + "; the rerun goes on and later frames are not told, error hard ends it\n");
    told = true;
    return;
  }
  if (comm->me == 0) utils::logmesg(lmp, message + "\n");
  stopped = true;
  timer->force_timeout();    // what fix halt does: ends this run and the ones after it, the input script goes on
}

// Of several partitions one that skips the commands after its stop would leave the others waiting in the first one that they make together.
// The temper commands stop all partitions themselves.
void FixUqHalt::post_run()
{
  if (stopped && universe->nworlds > 1 && !runs("temper")) timer->reset_timeout();
  count = 0;
  stopped = told = false;
}

// of a column of another compute there may be no model that knows elements
std::string FixUqHalt::element(int type) const
{
  return column.is_field() ? PairMaceUq::find(lmp, WHO, number)->model().element_of_type[type] : fmt::format("type {}", type);
}

double FixUqHalt::compute_scalar() { return last; }
