// SPDX-License-Identifier: GPL-2.0-or-later
#include "native_info.h"

#include "fields.h"
#include "base/text.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace {

void put(char *target, const std::string &text, std::size_t size)
{
  const std::size_t n = std::min(text.size(), size - 1);
  std::memcpy(target, text.data(), n);
  target[n] = '\0';
}

std::string general(double value)    // as "%g"
{
  char out[32];
  std::snprintf(out, sizeof(out), "%g", value);
  return out;
}

bool offers(const lmp_uq::Posterior &head, int index)
{
  switch (index) {
    case UQ_GRADE:
    case UQ_NEIGHBOUR_GRADE: return head.has_grade();
    case UQ_FORCE_ERROR: return head.has_force_error();
    case UQ_ERROR_ABOVE: return head.has_quantiles();
    case UQ_RELIABILITY: return !head.thresholds().empty();
    case UQ_FORCE_ERROR_50: return head.has_level(lmp_uq::LEVEL_50);
    case UQ_FORCE_ERROR_95: return head.has_level(lmp_uq::LEVEL_95);
    case UQ_ENERGY_ERROR: return head.has_energy_error();
    case UQ_STRESS_ERROR: return head.n_force_members() > 0 && head.stress_factor() != 0.0;
    case UQ_STRESS_STD: return head.n_force_members() > 0;
    default: return lmp_uq::quantity(index).dear ? head.n_force_members() > 0 : head.has_box();
  }
}

}    // namespace

std::vector<std::string> lmp_uq::symbols_of(const ModelFile &file)
{
  std::vector<std::string> out;
  for (const auto &element : file.header().at("elements").array()) out.push_back(element.string());
  return out;
}

uq_model_info lmp_uq::describe(const ModelFile &file, const Posterior &head, bool has_readout, const Engine &engine, const std::string &precision)
{
  uq_model_info info = {};
  info.cutoff = engine.shape().cutoff;
  info.n_features = head.n_features();
  info.n_members = head.n_members();
  info.n_force_members = head.n_force_members();
  info.has_readout = has_readout;
  info.width = engine.exchange_width(1);
  info.pull_width = engine.exchange_width(Engine::most_sets());
  info.energy_factor = head.energy_error().factor;
  info.energy_of_grade = head.energy_error().of_mean_grade;
  info.energy_intercept = head.energy_error().intercept;
  info.energy_slope = head.energy_error().slope;
  info.stress_factor = head.stress_factor();
  info.uses_correction = head.uses_correction();
  info.n_thresholds = static_cast<int>(head.thresholds().size());
  std::copy(head.thresholds().begin(), head.thresholds().end(), info.thresholds);
  std::vector<std::string> fields, unknown;
  for (int k = 0; k < UQ_N_QUANTITIES; k++) {
    info.available[k] = offers(head, k);
    if (k < UQ_N_FIELDS && offers(head, k)) fields.push_back(FIELDS[k].name);
  }
  const std::vector<std::string> symbols = symbols_of(file);
  std::string posterior = head.has_box() ? "POPS posterior with " + std::to_string(info.n_members) + " members" : "no posterior";
  if (info.n_force_members) posterior += " and " + std::to_string(info.n_force_members) + " force members";
  if (has_readout) posterior += ", members of a P-readout where the grade is at most 1";
  for (const int element : head.unknown_elements()) unknown.push_back(symbols[element]);
  put(info.sha256, file.sha256(), sizeof(info.sha256));
  put(info.summary,
      joined(symbols, " ") + ", cutoff " + general(info.cutoff) + " Angstrom, " + precision + " on " + engine.device() + " (native engine, " +
          engine.instruction_set() + "), " + posterior + ", fields: " + (fields.empty() ? "none" : joined(fields, ", ")),
      sizeof(info.summary));
  if (!unknown.empty())
    put(info.warning, "no training atoms of " + joined(unknown, " ") + " in this file: their grade and force_error are inf",
        sizeof(info.warning));
  return info;
}
