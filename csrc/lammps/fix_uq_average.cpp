// SPDX-License-Identifier: GPL-2.0-or-later
// FixUqAverage: the words of the command, what is checked before a run, and restarts.
#include "fix_uq_average.h"

#include "hidden_dependence.h"
#include "base/text.h"
#include "averages/thermal_averages.h"
#include "total_features.h"

#include "lammps/comm.h"
#include "lammps/compute.h"
#include "lammps/domain.h"
#include "lammps/error.h"
#include "lammps/fmt/format.h"
#include "lammps/force.h"
#include "lammps/input.h"
#include "lammps/modify.h"
#include "lammps/update.h"
#include "lammps/utils.h"
#include "lammps/variable.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;

static const std::vector<std::string> KEYWORDS = {"uq", "temp", "file", "ave", "append"};
static constexpr int64_t LONGEST_SIGNATURE = 1 << 16;
static constexpr int TEST_MEMBERS = 64;    // of variance, effective sample size and block errors: their median and root mean square
// parts of the names of LAMMPS' fixes that keep a temperature
static constexpr const char *THERMOSTATS[] = {"nvt", "npt", "temp/", "langevin", "gle", "gld", "ffl", "bocs", "pimd", "tgnpt"};
static constexpr const char *NOT_CANONICAL[] = {"temp/berendsen", "temp/rescale"};

FixUqAverage::FixUqAverage(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg), out(lmp, "Fix uq/average"), first_step(update->ntimestep)
{
  if (narg < 7) utils::missing_cmd_args(FLERR, "fix uq/average (Nevery Nrepeat Nfreq input ... uq ID temp T file F)", error);
  if (strcmp(update->unit_style, "metal") != 0)
    error->all(FLERR, "Fix uq/average needs units metal (eV, Angstrom), found units {}", update->unit_style);
  if (igroup != 0) error->all(FLERR, "Fix uq/average: averages are those of the whole system; accepted: group all");
  check_schedule(arg);
  inputs = std::make_unique<AverageInputs>(lmp, "Fix uq/average");
  int at = 6;
  while (at < narg && AverageInputs::is_input(arg[at])) inputs->add(arg[at++]);
  if (!inputs->n_values()) error->all(FLERR, "Fix uq/average: found no input; accepted: c_ID, c_ID[I], f_ID, f_ID[I], v_name before the keywords");
  while (at < narg) at = keyword(at, narg, arg);
  if (!running && nrepeat < 2)
    error->all(FLERR, "Fix uq/average: ave one with Nrepeat {}: averages of one sample have no covariance; accepted: 2 or more", nrepeat);
  if (source_id.empty()) error->all(FLERR, "Fix uq/average needs: uq ID, a compute of style uq or uq/linear");
  if (temperature_word.empty()) error->all(FLERR, "Fix uq/average needs: temp T, the temperature of the ensemble in K, or v_name");
  check_source();
  if (comm->me == 0 && source().has_readout())
    utils::logmesg(lmp, fmt::format("Fix uq/average {}: its bars are those of POPS; the P-readout of the model file takes no part\n", id));
  make_averages();
  if (!file.empty()) out.open(file, append);

  vector_flag = array_flag = 1;
  size_vector = N_SUMMARY;
  size_array_rows = inputs->n_values();
  size_array_cols = N_COLUMNS;
  extvector = extarray = 0;
  global_freq = nfreq;
  time_depend = 1;
  restart_global = 1;
  table.assign(static_cast<std::size_t>(inputs->n_values()) * N_COLUMNS, 0.0);
  modify->addstep_compute_all(next_sample(update->ntimestep - 1));
}

FixUqAverage::~FixUqAverage() = default;

int FixUqAverage::setmask() { return FixConst::END_OF_STEP | FixConst::POST_RUN; }

void FixUqAverage::check_schedule(char **arg)
{
  nevery = utils::inumeric(FLERR, arg[3], false, lmp);
  nrepeat = utils::inumeric(FLERR, arg[4], false, lmp);
  nfreq = utils::inumeric(FLERR, arg[5], false, lmp);
  const bool fits = nevery > 0 && nrepeat > 0 && nfreq > 0 && nfreq % nevery == 0 && static_cast<bigint>(nrepeat) * nevery <= nfreq;
  if (!fits)
    error->all(FLERR, "Fix uq/average: Nevery Nrepeat Nfreq are {} {} {}; accepted: 1 or more, Nfreq a multiple of Nevery, Nrepeat times "
               "Nevery at most Nfreq", nevery, nrepeat, nfreq);
}

// the index behind a keyword and its value
int FixUqAverage::keyword(int at, int narg, char **arg)
{
  const std::string keyword = arg[at];
  if (std::find(KEYWORDS.begin(), KEYWORDS.end(), keyword) == KEYWORDS.end())
    error->all(FLERR, "Unknown fix uq/average keyword {} (accepted: {})", keyword, lmp_uq::joined(KEYWORDS, ", "));
  if (at + 1 >= narg) error->all(FLERR, "Fix uq/average: keyword {} needs a value", keyword);
  const std::string value = arg[at + 1];
  if (keyword == "uq") source_id = value;
  if (keyword == "temp") temperature_word = value;
  if (keyword == "file") file = value;
  if (keyword == "append") append = utils::logical(FLERR, value, false, lmp);
  if (keyword == "ave") {
    if (value != "running" && value != "one") error->all(FLERR, "Fix uq/average: unknown ave {} (accepted: running, one)", value);
    running = value == "running";
  }
  return at + 2;
}

lmp_uq::TotalFeatures &FixUqAverage::source() const
{
  Compute *compute = modify->get_compute_by_id(source_id);
  if (!compute) error->all(FLERR, "Fix uq/average: there is no compute {}; accepted: a compute of style uq or uq/linear", source_id);
  auto found = dynamic_cast<lmp_uq::TotalFeatures *>(compute);
  if (!found) error->all(FLERR, "Fix uq/average: compute {} is of style {}; accepted: uq, uq/linear", source_id, compute->style);
  return *found;
}

void FixUqAverage::check_source()
{
  source().require_features("Fix uq/average", inputs->any_pressure());
  if (inputs->any_pressure() && domain->dimension != 3) error->all(FLERR, "Fix uq/average: pressures need dimension 3");
  signature = source().model() + "; bounds of " + std::to_string(source().n_members()) + " members; inputs " + inputs->words();
}

std::vector<AverageInputs::Dependence> FixUqAverage::kinds() const
{
  std::vector<AverageInputs::Dependence> out;
  for (int kind = AverageInputs::ENERGY; kind < AverageInputs::N_DEPENDENCES; kind++)
    if (std::count(inputs->dependences().begin(), inputs->dependences().end(), kind)) out.push_back(static_cast<AverageInputs::Dependence>(kind));
  return out;
}

void FixUqAverage::make_averages()
{
  const auto known = kinds();
  std::vector<int> row_of_value;
  for (const auto dependence : inputs->dependences()) {
    const auto found = std::find(known.begin(), known.end(), dependence);
    row_of_value.push_back(found == known.end() ? lmp_uq::ThermalAverages::NO_ROW : static_cast<int>(found - known.begin()));
  }
  const lmp_uq::ThermalAverages::Sizes sizes = {source().n_features(), std::min(TEST_MEMBERS, source().n_members()),
                                                static_cast<int>(known.size())};
  averages = std::make_unique<lmp_uq::ThermalAverages>(sizes, row_of_value);
  hidden = std::make_unique<lmp_uq::HiddenDependence>(inputs->n_values());
}

void FixUqAverage::init()
{
  inputs->init(nevery);
  const std::string before = signature;
  check_source();
  if (signature != before || source().n_features() != averages->n_features())
    error->all(FLERR, "Fix uq/average {}: compute {} has another model or other members than when the fix was defined: define it again", id,
               source_id);
  if (update->whichflag == 1) check_run();
  read_temperature();
  look_at_ensemble();
  kinetic_sum = kinetic_count = 0.0;
  modify->addstep_compute_all(next_sample(update->ntimestep - 1));
}

void FixUqAverage::check_run()
{
  if (update->laststep - update->firststep != update->nsteps)
    error->all(FLERR, "Fix uq/average {}: found steps that no run command makes, as those of rerun; accepted: run, and for frames of a dump "
               "lmp-uq reweight", id);
  if (update->nsteps == 0)
    error->all(FLERR, "Fix uq/average {}: a run of 0 steps has no averages; accepted: a run that reaches step {}, or the fix behind run 0", id,
               (update->ntimestep / nfreq + 1) * nfreq);
}

// once for a run: an average at one temperature
void FixUqAverage::read_temperature()
{
  double now = 0.0;
  if (temperature_word.rfind("v_", 0) == 0) {
    const int number = input->variable->find(temperature_word.c_str() + 2);
    if (number < 0 || !input->variable->equalstyle(number))
      error->all(FLERR, "Fix uq/average: temp is {}; accepted: a number of K, or v_name of an equal-style variable", temperature_word);
    now = input->variable->compute_equal(number);
  } else {
    now = utils::numeric(FLERR, temperature_word, false, lmp);
  }
  if (!(now > 0.0) || !std::isfinite(now)) error->all(FLERR, "Fix uq/average: temp is {:g} K; accepted: above 0", now);
  if (averages->n_samples() && now != temperature)
    error->all(FLERR, "Fix uq/average {}: temp is {:g} K now, the samples so far are of {:g} K; accepted: a new fix for a new temperature", id, now,
               temperature);
  temperature = now;
  averages->set_beta(1.0 / (force->boltz * temperature));
}

// What the formula assumes, as far as it can be seen from the fixes of the run
void FixUqAverage::look_at_ensemble()
{
  bool thermostat = false;
  notes.clear();
  for (const Fix *fix : modify->get_fix_list()) {
    const std::string style = fix->style;
    const bool barostat_only = style.rfind("press/", 0) == 0;    // press/langevin
    for (const char *part : THERMOSTATS) thermostat = thermostat || (!barostat_only && style.find(part) != std::string::npos);
    for (const char *other : NOT_CANONICAL)
      if (style == other)
        notes.push_back("fix " + std::string(fix->id) + " (" + style + ") keeps the temperature without the fluctuations of the canonical ensemble");
    if (!(fix->box_change & (BOX_CHANGE_SIZE | BOX_CHANGE_SHAPE))) continue;
    if (style.rfind("np", 0) == 0 || style.find("/np") != std::string::npos || style == "press/langevin")
      notes.push_back("fix " + std::string(fix->id) + " (" + style + ") moves the cell: Phi is that of the cell of each sample, so what the volume "
                      "does is in Cov(a, Phi); neglected: nothing of first order, but the covariance needs many volume fluctuations");
    else
      notes.push_back("fix " + std::string(fix->id) + " (" + style + ") moves the cell, not as an ensemble of constant pressure: the response of "
                      "the cell to the potential is neglected");
  }
  if (!thermostat)
    notes.push_back("no thermostat is known among the fixes: the formula is of the canonical ensemble, at constant energy the fluctuations of "
                    "energy are smaller");
  for (const std::string &note : notes)
    if (update->whichflag == 1) warn(note, note);
}

// each kind once: a run in parts (every) would repeat it in each
void FixUqAverage::warn(const std::string &kind, const std::string &text)
{
  if (warned.insert(kind).second && comm->me == 0) error->warning(FLERR, "Fix uq/average {}: {}", id, text);
}

/* ---- restart --------------------------------------------------------------------------------------------------------------- */

// sizes, then the signature, then numbers: temperature, steps, what is accumulated
void FixUqAverage::write_restart(FILE *fp)
{
  std::vector<double> numbers = {temperature, static_cast<double>(first_step), static_cast<double>(last_sample)};
  const std::vector<double> state = averages->state();
  numbers.insert(numbers.end(), state.begin(), state.end());
  const int64_t lengths[2] = {static_cast<int64_t>(signature.size()), static_cast<int64_t>(numbers.size())};
  const int64_t bytes = sizeof(lengths) + lengths[0] + lengths[1] * static_cast<int64_t>(sizeof(double));
  if (bytes > MAXSMALLINT) error->all(FLERR, "Fix uq/average {}: statistics of {} bytes are too long for a restart file", id, bytes);
  if (comm->me != 0) return;
  const int size = static_cast<int>(bytes);
  fwrite(&size, sizeof(int), 1, fp);
  fwrite(lengths, sizeof(lengths), 1, fp);
  fwrite(signature.data(), 1, signature.size(), fp);
  fwrite(numbers.data(), sizeof(double), numbers.size(), fp);
}

void FixUqAverage::restart(char *buffer)
{
  int64_t lengths[2];
  memcpy(lengths, buffer, sizeof(lengths));
  if (lengths[0] < 0 || lengths[0] > LONGEST_SIGNATURE)
    error->all(FLERR, "Fix uq/average {}: the restart file is damaged: a text of {} bytes, accepted: 0 to {}", id, lengths[0], LONGEST_SIGNATURE);
  const std::string text(buffer + sizeof(lengths), lengths[0]);
  const auto from_hash = [](const std::string &all) { return all.substr(std::min(all.find(", sha256 "), all.size())); };
  if (from_hash(text) != from_hash(signature))    // the model file may have another path now
    error->all(FLERR, "Fix uq/average {}: the restart file has averages of another model or other inputs ({}), these are {}; accepted: the same, "
               "or another ID to begin anew", id, text, signature);
  if (lengths[1] != 3 + static_cast<int64_t>(averages->state_size()))
    error->all(FLERR, "Fix uq/average {}: the restart file is of another version", id);
  std::vector<double> numbers(lengths[1]);
  memcpy(numbers.data(), buffer + sizeof(lengths) + lengths[0], lengths[1] * sizeof(double));
  temperature = numbers[0];
  first_step = static_cast<bigint>(numbers[1]);
  last_sample = static_cast<bigint>(numbers[2]);
  if (std::max(first_step, last_sample) > update->ntimestep) {    // reset_timestep has set the steps back since
    first_step = update->ntimestep;
    last_sample = -1;
  }
  averages->restore(numbers.data() + 3);
}

double FixUqAverage::memory_usage() { return static_cast<double>(averages->state_size()) * sizeof(double); }
