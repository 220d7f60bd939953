// SPDX-License-Identifier: GPL-2.0-or-later
#include "fields.h"

#include "base/text.h"

static constexpr bool CHEAP = false, DEAR = true, OF_FORCE = true;

const lmp_uq::FieldInfo lmp_uq::FIELDS[UQ_N_FIELDS] = {
    {"energy_std", "eV", "a posterior", CHEAP, false},
    {"energy_lower", "eV", "a posterior", CHEAP, false},
    {"energy_upper", "eV", "a posterior", CHEAP, false},
    {"force_error", "eV/Angstrom", "a calibration of force_error", CHEAP, OF_FORCE},
    {"grade", "1 = edge of the training atoms", "training descriptors for grade", CHEAP, false},
    {"force_error_50", "eV/Angstrom", "a calibration of force_error at 50 %", CHEAP, OF_FORCE},
    {"force_error_95", "eV/Angstrom", "a calibration of force_error at 95 %", CHEAP, OF_FORCE},
    {"force_std", "eV/Angstrom", "force members", DEAR, false},
    {"force_std_x", "eV/Angstrom", "force members", DEAR, false},
    {"force_std_y", "eV/Angstrom", "force members", DEAR, false},
    {"force_std_z", "eV/Angstrom", "force members", DEAR, false},
    {"neighbour_grade", "1 = edge of the training atoms", "training descriptors for grade", CHEAP, false},
    {"error_above", "probability", "a calibration of force_error with residual quantiles", CHEAP, OF_FORCE},
};

const lmp_uq::FieldInfo lmp_uq::TOTALS[UQ_N_QUANTITIES - UQ_N_FIELDS] = {
    {"stress_std", "bar", "force members", DEAR, false},
    {"members", "eV", "a posterior", CHEAP, false},
    {"energy_error", "eV", "a calibration of energy_error", CHEAP, false},
    {"stress_error", "bar", "force members and a calibration of stress_error", DEAR, false},
};

std::string lmp_uq::Field::text() const { return info().name + (index == UQ_ERROR_ABOVE ? " " + to_text(threshold) : ""); }

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
