// SPDX-License-Identifier: GPL-2.0-or-later
#include "fix_uq_halt.h"

#include "atom_maximum.h"
#include "fields.h"
#include "pair_mace_uq.h"

#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/modify.h"
#include "lammps/timer.h"
#include "lammps/update.h"
#include "lammps/utils.h"

#include <cstring>

using namespace LAMMPS_NS;

FixUqHalt::FixUqHalt(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg)
{
  if (narg < 7) utils::missing_cmd_args(FLERR, "fix uq/halt (N field > x [consecutive m] [error soft|hard])", error);
  nevery = utils::inumeric(FLERR, arg[3], false, lmp);
  if (nevery < 1) error->all(FLERR, "Fix uq/halt: N must be 1 or more, found {}", arg[3]);
  field = lmp_uq::find_field(arg[4]);
  if (field < 0) error->all(FLERR, "Unknown fix uq/halt field {} (accepted: {})", arg[4], lmp_uq::field_names());
  if (strcmp(arg[5], ">") != 0 && strcmp(arg[5], ">=") != 0)
    error->all(FLERR, "Fix uq/halt: unknown operator {} (accepted: >, >=)", arg[5]);
  or_equal = strcmp(arg[5], ">=") == 0;
  threshold = utils::numeric(FLERR, arg[6], false, lmp);
  for (int i = 7; i < narg; i += 2) {
    if (i + 1 >= narg) error->all(FLERR, "Fix uq/halt: keyword {} needs a value", arg[i]);
    if (strcmp(arg[i], "consecutive") == 0) {
      consecutive = utils::inumeric(FLERR, arg[i + 1], false, lmp);
      if (consecutive < 1) error->all(FLERR, "Fix uq/halt: consecutive must be 1 or more, found {}", arg[i + 1]);
    } else if (strcmp(arg[i], "error") == 0) {
      hard = strcmp(arg[i + 1], "hard") == 0;
      if (!hard && strcmp(arg[i + 1], "soft") != 0)
        error->all(FLERR, "Fix uq/halt: unknown error mode {} (accepted: soft, hard)", arg[i + 1]);
    } else
      error->all(FLERR, "Unknown fix uq/halt keyword {} (accepted: consecutive, error)", arg[i]);
  }
  scalar_flag = 1;
  extscalar = 0;
  global_freq = nevery;
  pair = PairMaceUq::find(lmp, "Fix uq/halt");
  pair->require_field(field, "Fix uq/halt");
}

int FixUqHalt::setmask() { return FixConst::END_OF_STEP | FixConst::MIN_POST_FORCE; }

void FixUqHalt::init()
{
  pair = PairMaceUq::find(lmp, "Fix uq/halt");
  pair->require_field(field, "Fix uq/halt");
  count = 0;
  minimized = -1;
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
  const auto worst = lmp_uq::find_maximum(lmp, *pair, field, groupbit);
  last = worst.value;
  const bool beyond = worst.tag > 0 && (or_equal ? worst.value >= threshold : worst.value > threshold);
  count = beyond ? count + 1 : 0;
  if (count < consecutive) return;

  const auto message = fmt::format(
      "Fix uq/halt {}: run stops at step {}: {} = {:.6g} {} {:g} ({}) on atom {} ({}), check {} in a row", id, update->ntimestep,
      lmp_uq::FIELDS[field].name, worst.value, or_equal ? ">=" : ">", threshold, lmp_uq::FIELDS[field].unit, worst.tag,
      pair->element(worst.type), count);
  if (hard) error->all(FLERR, message);
  if (comm->me == 0) utils::logmesg(lmp, message + "\n");
  count = 0;
  timer->force_timeout();    // what fix halt does: ends this run and the ones after it, the input script goes on
}

double FixUqHalt::compute_scalar() { return last; }
