// SPDX-License-Identifier: GPL-2.0-or-later
#include "fields.h"

#include "base/text.h"

using lmp_uq::Threshold;

static constexpr bool CHEAP = false, DEAR = true, OF_FORCE = true;
static constexpr Threshold PLAIN = Threshold::None;

const lmp_uq::FieldInfo lmp_uq::FIELDS[UQ_N_FIELDS] = {
    {"energy_std", "eV", "a posterior", CHEAP, false, PLAIN},
    {"energy_lower", "eV", "a posterior", CHEAP, false, PLAIN},
    {"energy_upper", "eV", "a posterior", CHEAP, false, PLAIN},
    {"force_error", "eV/Angstrom", "a calibration of force_error", CHEAP, OF_FORCE, PLAIN},
    {"grade", "1 = edge of the training atoms", "training descriptors for grade", CHEAP, false, PLAIN},
    {"force_error_50", "eV/Angstrom", "a calibration of force_error at 50 %", CHEAP, OF_FORCE, PLAIN},
    {"force_error_95", "eV/Angstrom", "a calibration of force_error at 95 %", CHEAP, OF_FORCE, PLAIN},
    {"force_std", "eV/Angstrom", "force members", DEAR, false, PLAIN},
    {"force_std_x", "eV/Angstrom", "force members", DEAR, false, PLAIN},
    {"force_std_y", "eV/Angstrom", "force members", DEAR, false, PLAIN},
    {"force_std_z", "eV/Angstrom", "force members", DEAR, false, PLAIN},
    {"neighbour_grade", "1 = edge of the training atoms", "training descriptors for grade", CHEAP, false, PLAIN},
    {"error_above", "probability", "a calibration of force_error with residual quantiles", CHEAP, OF_FORCE, Threshold::Needed},
    {"reliability", "probability", "an ordinal classifier (lmp-uq calibrate --classifier ordinal)", CHEAP, OF_FORCE, Threshold::Optional},
};

const lmp_uq::FieldInfo lmp_uq::TOTALS[UQ_N_QUANTITIES - UQ_N_FIELDS] = {
    {"stress_std", "bar", "force members", DEAR, false, PLAIN},
    {"members", "eV", "a posterior", CHEAP, false, PLAIN},
    {"energy_error", "eV", "a calibration of energy_error", CHEAP, false, PLAIN},
    {"stress_error", "bar", "force members and a calibration of stress_error", DEAR, false, PLAIN},
};

std::string lmp_uq::Field::text() const { return info().name + (has_threshold() ? " " + to_text(threshold) : ""); }

const lmp_uq::FieldInfo &lmp_uq::quantity(int index) { return index < UQ_N_FIELDS ? FIELDS[index] : TOTALS[index - UQ_N_FIELDS]; }

int lmp_uq::find_field(const std::string &name)
{
  for (int field = 0; field < UQ_N_FIELDS; field++)
    if (name == FIELDS[field].name) return field;
  return -1;
}

std::string lmp_uq::field_names()
{
  std::string names;
  for (const auto &field : FIELDS) names += (names.empty() ? "" : ", ") + std::string(field.name);
  return names;
}
