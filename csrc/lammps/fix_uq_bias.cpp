// SPDX-License-Identifier: GPL-2.0-or-later
// FixUqBias: the words of the command, what is checked before a run, output and restarts.
#include "fix_uq_bias.h"

#include "base/text.h"
#include "field_words.h"
#include "force_computation.h"
#include "pair_mace_uq.h"

#include "lammps/atom.h"
#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/input.h"
#include "lammps/update.h"
#include "lammps/utils.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;

static constexpr char WHO[] = "Fix uq/bias";
static constexpr char SYNTAX[] = "fix uq/bias ([grade|energy_std] tau_rel or tau x, then [power p] [cap c] [until g] [pair N])";
static const std::vector<std::string> KEYWORDS = {"power", "cap", "until"};

FixUqBias::FixUqBias(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg)
{
  for (int at = read_strength(narg, arg, 3); at < narg;) {
    if (lmp_uq::read_pair(lmp, WHO, narg, arg, at, of_pair)) continue;
    if (at + 1 >= narg) error->all(FLERR, "Fix uq/bias: keyword {} needs a value", arg[at]);
    read_keyword(arg[at], arg[at + 1]);
    at += 2;
  }
  if (kind == ENERGY_STD && igroup != 0)
    error->all(FLERR, "Fix uq/bias: energy_std is that of the total energy, found group {}; accepted: group all, or grade", arg[1]);
  scalar_flag = vector_flag = 1;
  size_vector = 4;
  extscalar = 1;
  extvector = 0;
  global_freq = 1;
  energy_global_flag = virial_global_flag = 1;
  thermo_virial = 1;    // a barostat has to know of the bias
  restart_global = 1;
  check_model();
}

// the index behind the quantity and how strongly it is followed
int FixUqBias::read_strength(int narg, char **arg, int at)
{
  const std::string word = at < narg ? arg[at] : "";
  if (word == "grade" || word == "energy_std") at++;
  if (word == "energy_std") kind = ENERGY_STD;
  relative = at >= narg || strcmp(arg[at], "tau") != 0;
  if (!relative) at++;
  if (at >= narg) utils::missing_cmd_args(FLERR, SYNTAX, error);
  if (!utils::is_double(arg[at]))
    error->all(FLERR, "Fix uq/bias: found {} in the place of {}; accepted: {}", arg[at], relative ? "tau_rel" : "tau", SYNTAX + 12);
  asked = number(relative ? "tau_rel" : "tau", arg[at], 0.0);
  return at + 1;
}

void FixUqBias::read_keyword(const std::string &keyword, const std::string &value)
{
  if (std::find(KEYWORDS.begin(), KEYWORDS.end(), keyword) == KEYWORDS.end())
    error->all(FLERR, "Unknown fix uq/bias keyword {} (accepted: {})", keyword, lmp_uq::joined(KEYWORDS, ", ") + ", pair");
  const double x = number(keyword, value, keyword == "power" ? 1.0 : 0.0);
  if (keyword == "power" && kind == ENERGY_STD) error->all(FLERR, "Fix uq/bias: power is that of a mean of grades; accepted: with grade");
  if (keyword == "power") power = x;
  if (keyword == "cap") cap = x;
  if (keyword == "until") until = x;
}

double FixUqBias::number(const std::string &what, const std::string &value, double least)
{
  const double x = utils::numeric(FLERR, value, false, lmp);
  if (!(x >= least) || !std::isfinite(x)) error->all(FLERR, "Fix uq/bias: {} is {}; accepted: a number of {:g} or more", what, value, least);
  return x;
}

// the grade is also what until looks at, and an output where the file holds it
void FixUqBias::check_model()
{
  PairMaceUq *pair = PairMaceUq::find(lmp, WHO, of_pair);
  if (pair->compute_flag == 0)
    error->all(FLERR, "Fix uq/bias {}: the run does not compute mace/uq {}, whose grades it was to follow; accepted: pair and the number of one "
               "that it computes", id, of_pair);
  if (kind == ENERGY_STD) pair->require_field({UQ_ENERGY_STD}, WHO);
  if (kind == GRADE || until != NONE) pair->require_field({UQ_GRADE}, WHO);
  pair->last().keep_derivatives();
}

int FixUqBias::setmask() { return FixConst::POST_FORCE; }

void FixUqBias::init()
{
  check_model();
  const bool rerun = input->command && utils::strmatch(input->command, "^rerun");    // LAMMPS knows the command under way by its name only
  if (update->whichflag == 2)
    error->all(FLERR, "Fix uq/bias {}: found a minimization, which would end where model and bias balance, at no minimum of the model; accepted: "
               "run, or unfix {} before it", id, id);
  if (rerun)
    error->all(FLERR, "Fix uq/bias {}: found rerun, whose frames no bias moves; accepted: run, and for the grades of frames compute uq/atom", id);
  if (update->whichflag == 1 && utils::strmatch(update->integrate_style, "^respa"))
    error->all(FLERR, "Fix uq/bias {}: found run_style {}, accepted: verlet, with the model's forces and the bias on every step", id,
               update->integrate_style);
  const std::string what = not_conserving();
  if (update->whichflag != 1 || told || what.empty()) return;
  told = true;
  if (comm->me == 0) utils::logmesg(lmp, "{} {}: {} does not conserve energy, a thermostat is needed\n", WHO, id, what);
}

std::string FixUqBias::not_conserving() const
{
  std::vector<std::string> found;
  if (relative && asked > 0.0) found.emplace_back("a tau that follows the forces");
  if (cap != NONE) found.emplace_back("cap");
  if (until != NONE) found.emplace_back("until");
  return lmp_uq::joined(found, ", ");
}

/* ---- output -------------------------------------------------------------------------------------------------------------------- */

double FixUqBias::compute_scalar() { return -tau * s; }

double FixUqBias::compute_vector(int k)
{
  const double values[] = {s, tau, tau * s, largest};
  return values[k];
}

double FixUqBias::memory_usage() { return static_cast<double>(factors.capacity() * sizeof(double)); }

/* ---- restart: the means of a relative tau, of what and with which power --------------------------------------------------------- */

namespace {
struct Saved {
  double kind, power, tau;
  lmp_uq::BiasStrength::Means means;
};
}    // namespace

void FixUqBias::write_restart(FILE *fp)
{
  if (comm->me != 0) return;
  const int size = sizeof(Saved);
  const Saved saved = {static_cast<double>(kind), power, tau, strength.means()};
  fwrite(&size, sizeof(int), 1, fp);
  fwrite(&saved, sizeof(Saved), 1, fp);
}

void FixUqBias::restart(char *buffer)
{
  Saved saved;
  memcpy(&saved, buffer, sizeof(Saved));
  if (saved.kind == kind && saved.power == power) {
    tau = saved.tau;
    return strength.restore(saved.means);
  }
  if (comm->me == 0)
    error->warning(FLERR, "Fix uq/bias {}: the restart file is of another quantity or power: the means behind tau begin anew", id);
}
