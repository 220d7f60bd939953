// SPDX-License-Identifier: GPL-2.0-or-later
// FixUqAverage: a run: samples, averages with their bars, the file, and what is said at the end.
#include "fix_uq_average.h"

#include "cell_volume.h"
#include "guard.h"
#include "hidden_dependence.h"
#include "averages/thermal_averages.h"
#include "total_features.h"

#include "lammps/comm.h"
#include "lammps/compute.h"
#include "lammps/error.h"
#include "lammps/force.h"
#include "lammps/modify.h"
#include "lammps/update.h"
#include "lammps/utils.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;

// Above a variance of 1 the weights exp(-h) of direct reweighting are those of a few samples, and the first order is no longer checked by it.
static constexpr double MAX_VARIANCE = 1.0;
static constexpr double MAX_BAR_ERROR = 0.5;      // of a bar
static constexpr double MAX_TEMPERATURE = 0.2;    // relative difference of the kinetic temperature from the ensemble's
static constexpr double FEW_SAMPLES = 10.0;

// Samples are taken on steps M - i Nevery, i < Nrepeat, before each multiple M of Nfreq, as by fix ave/time: also by one that began with the
// fix, so not in a window that began before it.
bigint FixUqAverage::next_sample(bigint after) const
{
  const bigint from = std::max(after + 1, first_step), span = static_cast<bigint>(nrepeat - 1) * nevery;
  bigint end = (from + nfreq - 1) / nfreq * nfreq;
  while (end - span < first_step) end += nfreq;
  const bigint begin = end - span;
  return from <= begin ? begin : begin + (from - begin + nevery - 1) / nevery * nevery;
}

// the first step of a run is sampled if it is due and no run before has done so
void FixUqAverage::setup(int) { end_of_step(); }

void FixUqAverage::end_of_step()
{
  const bigint step = update->ntimestep;
  if (update->whichflag != 1 || step <= last_sample || next_sample(step - 1) != step) return;
  modify->clearstep_compute();
  lmp_uq::guarded(lmp, "Fix uq/average", [&] { sample(); });
  last_sample = step;
  modify->addstep_compute(next_sample(step));
  if (step % nfreq == 0 && averages->n_samples() > 1) lmp_uq::guarded(lmp, "Fix uq/average", [&] { output(); });
}

void FixUqAverage::sample()
{
  lmp_uq::TotalFeatures &source = this->source();
  if (source.n_features() != averages->n_features())
    error->all(FLERR, "Fix uq/average {}: compute {} has another model than when the run was set up", id, source_id);
  const std::size_t n_features = averages->n_features(), n_rows = kinds().size(), n_members = averages->n_members();
  std::vector<double> values(inputs->n_values()), features(n_features), rows(n_rows * n_features + 1), shifts(source.n_members() + 1);
  std::vector<double> member_energies(n_members + 1), member_rows(n_rows * n_members + 1);
  inputs->sample(values.data());
  source.total_features(features.data());
  for (const double one : features)
    if (!std::isfinite(one)) error->all(FLERR, "Fix uq/average {}: a feature is not a number on step {}", id, update->ntimestep);
  fill_rows(features.data(), rows.data());
  source.member_shifts(features.data(), shifts.data());
  std::copy_n(shifts.begin(), n_members, member_energies.begin());
  for (std::size_t row = 0; row < n_rows; row++) {
    source.member_shifts(rows.data() + row * n_features, shifts.data());
    std::copy_n(shifts.begin(), n_members, member_rows.begin() + row * n_members);
  }
  averages->add({values.data(), features.data(), rows.data(), member_energies.data(), member_rows.data()});
  if (inputs->any_of_positions()) sample_references(values.data());
  kinetic_sum += invoked("thermo_temp", Compute::INVOKED_SCALAR)->scalar;
  kinetic_count += 1.0;
}

void FixUqAverage::sample_references(const double *values)
{
  using lmp_uq::HiddenDependence;
  double references[HiddenDependence::N_REFERENCES];
  references[HiddenDependence::ENERGY] = invoked("thermo_pe", Compute::INVOKED_SCALAR)->scalar;
  references[HiddenDependence::PRESSURE] = invoked("thermo_press", Compute::INVOKED_SCALAR)->scalar;
  std::copy_n(invoked("thermo_press", Compute::INVOKED_VECTOR)->vector, 6, references + HiddenDependence::COMPONENTS);
  hidden->add(values, references);
}

// a compute that every LAMMPS has from the start
Compute *FixUqAverage::invoked(const char *name, int flag)
{
  Compute *compute = modify->get_compute_by_id(name);
  if (!compute) error->all(FLERR, "Fix uq/average {}: compute {} of LAMMPS itself is gone; accepted: to keep it", id, name);
  if (!(compute->invoked_flag & flag)) {
    if (flag == Compute::INVOKED_SCALAR) compute->compute_scalar();
    if (flag == Compute::INVOKED_VECTOR) compute->compute_vector();
  }
  compute->invoked_flag |= flag;
  return compute;
}

// da/dTheta at fixed positions of each kind of value, in its unit
void FixUqAverage::fill_rows(const double *features, double *rows)
{
  const std::size_t width = averages->n_features();
  const auto known = kinds();
  std::vector<double> virial(inputs->any_pressure() ? 6 * width : 0);
  const bool trace = !std::any_of(known.begin(), known.end(), [](int kind) { return kind > AverageInputs::PRESSURE; });
  if (inputs->any_pressure()) source().virial_rows(trace, virial.data());
  const double to_pressure = force->nktv2p / lmp_uq::cell_volume(*domain);
  for (const auto kind : known) {
    if (kind == AverageInputs::ENERGY) std::copy_n(features, width, rows);
    for (std::size_t p = 0; kind == AverageInputs::PRESSURE && p < width; p++)
      rows[p] = (trace ? virial[p] : virial[p] + virial[width + p] + virial[2 * width + p]) / 3.0 * to_pressure;
    for (std::size_t p = 0; kind >= AverageInputs::PXX && p < width; p++)
      rows[p] = virial[(kind - AverageInputs::PXX) * width + p] * to_pressure;
    rows += width;
  }
}

void FixUqAverage::output()
{
  std::vector<double> g(averages->n_features());
  for (int value = 0; value < inputs->n_values(); value++) {
    double *row = table.data() + static_cast<std::size_t>(value) * N_COLUMNS;
    row[MEAN] = averages->mean(value);
    averages->response(value, g.data());
    source().bars(g.data(), row[MEAN], row + STD);
    row[MEAN_ERROR] = averages->mean_error(value);
    row[BAR_ERROR] = averages->response_error(value);
  }
  summarize();
  last_output = update->ntimestep;
  if (!file.empty()) out.add((header_written ? "" : header()) + note_lines() + block());
  header_written = true;
  if (!running) averages->clear();
}

// between the values of a sorted list, as numpy.quantile
static double quantile(std::vector<double> values, double share)
{
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  const double at = share * (values.size() - 1);
  const std::size_t below = static_cast<std::size_t>(at), above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - below) * (values[above] - values[below]);
}

void FixUqAverage::summarize()
{
  const std::vector<double> variances = averages->variances();
  summary[SAMPLES] = static_cast<double>(averages->n_samples());
  summary[VARIANCE_MEDIAN] = quantile(variances, 0.5);
  summary[VARIANCE_90] = quantile(variances, 0.9);
  summary[SHARE_MEDIAN] = quantile(averages->effective_shares(), 0.5);
  summary[TEMPERATURE] = kinetic_sum / kinetic_count;
}

std::string FixUqAverage::header() const
{
  std::string text = fmt::format("# averages with error bars due to the potential, fix {} uq/average\n# {}\n", id, signature);
  text += fmt::format("# temp {:g} K; to first order in Theta <a> + g.dTheta with g = <da/dTheta> - Cov(a, Phi)/kT\n", temperature);
  for (const std::string &line : inputs->description()) text += "# input " + line + "\n";
  text += fmt::format("# h = dTheta.Phi/kT of {} members; ESS: effective samples of direct reweighting; Bar_error: block error of g.dTheta\n",
                      averages->n_members());
  text += "# TimeStep Rows Samples var(h)_median var(h)_90% ESS/n_median Temperature\n";
  return text + "# Input Element Mean Std Lower Upper Mean_error Bar_error\n";
}

// once, and again where a run is of another kind than the one before it
std::string FixUqAverage::note_lines()
{
  std::string text;
  for (const std::string &note : notes)
    if (notes != written_notes) text += "# note: " + note + "\n";
  written_notes = notes;
  return text;
}

std::string FixUqAverage::block() const
{
  std::string text = fmt::format("{} {}", update->ntimestep, inputs->n_values());
  for (int k = 0; k < N_SUMMARY; k++) text += fmt::format(" {:.8g}", summary[k]);
  text += "\n";
  for (int value = 0; value < inputs->n_values(); value++) {
    text += inputs->label(value);
    for (int column = 0; column < N_COLUMNS; column++)
      text += fmt::format(" {:.15g}", table[static_cast<std::size_t>(value) * N_COLUMNS + column]);
    text += "\n";
  }
  return text;
}

void FixUqAverage::post_run()
{
  if (update->whichflag != 1) return;
  if (last_output <= update->firststep) {
    if (update->ntimestep >= update->laststep)    // else it was stopped
      warn("none", fmt::format("no averages of this run, it ended on step {}; the next are due on step {}, with 2 samples", update->ntimestep,
                               (update->ntimestep / nfreq + 1) * nfreq));
    return;
  }
  if (last_output == last_told) return;
  last_told = last_output;
  if (comm->me == 0)
    utils::logmesg(lmp, fmt::format("Fix uq/average {}: step {}, {:g} samples; h = dTheta.Phi/kT of {} members: var(h) median {:.3g}, 90 % "
                                    "{:.3g}; effective samples of direct reweighting: median {:.3g} of all\n",
                                    id, last_output, summary[SAMPLES], averages->n_members(), summary[VARIANCE_MEDIAN], summary[VARIANCE_90],
                                    summary[SHARE_MEDIAN]));
  look_at_members();
  look_at_noise();
  look_at_dependences();
  if (kinetic_count >= FEW_SAMPLES && std::fabs(summary[TEMPERATURE] - temperature) > MAX_TEMPERATURE * temperature)
    warn("temperature", fmt::format("the samples of this run have the kinetic temperature {:.4g} K, keyword temp says {:g} K",
                                    summary[TEMPERATURE], temperature));
}

void FixUqAverage::look_at_members()
{
  if (summary[VARIANCE_MEDIAN] > MAX_VARIANCE)
    warn("variance", fmt::format("var(h) is {:.3g} (median, above {:g}): the members' energies differ from that of this run by more than kT, "
                                 "direct reweighting would use {:.2g} of the samples and cannot check the first order, on which bars of inputs "
                                 "that are functions of the positions rest; fewer atoms have a smaller var(h)",
                                 summary[VARIANCE_MEDIAN], MAX_VARIANCE, summary[SHARE_MEDIAN]));
}

void FixUqAverage::look_at_noise()
{
  int noisy = 0, worst = 0;
  double largest = 0.0;
  for (int value = 0; value < inputs->n_values(); value++) {
    const double *row = table.data() + static_cast<std::size_t>(value) * N_COLUMNS;
    const double share = row[BAR_ERROR] / row[STD];
    if (share > MAX_BAR_ERROR) noisy++;
    if (share > largest) {
      largest = share;
      worst = value;
    }
  }
  if (noisy)
    warn("noise", fmt::format("{} of {} bars are mostly noise of the sampling, block error over {:g} of the std, largest {:.2g} of input {}: run "
                              "longer", noisy, inputs->n_values(), MAX_BAR_ERROR, largest, inputs->label(worst)));
}

void FixUqAverage::look_at_dependences()
{
  using lmp_uq::HiddenDependence;
  for (int value = 0; value < inputs->n_values(); value++) {
    const int found = hidden->follows(value);
    if (inputs->dependences()[value] != AverageInputs::POSITIONS || found == HiddenDependence::NONE) continue;
    const bool energy = found == HiddenDependence::ENERGY;
    const int component = found - HiddenDependence::COMPONENTS + 1;
    const std::string better = energy ? "c_thermo_pe" : component < 1 ? "c_thermo_press" : fmt::format("c_thermo_press[{}]", component);
    warn(inputs->label(value), fmt::format("input {} follows the {} in all samples, but is taken as a function of the positions: its bar lacks "
                                           "<da/dTheta>, most of it; accepted: {}, and mean and bars in other units behind it",
                                           inputs->label(value), energy ? "potential energy" : "pressure", better));
  }
}

double FixUqAverage::compute_vector(int k) { return summary[k]; }

double FixUqAverage::compute_array(int row, int column) { return table[static_cast<std::size_t>(row) * N_COLUMNS + column]; }
