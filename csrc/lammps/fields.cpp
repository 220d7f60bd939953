// SPDX-License-Identifier: GPL-2.0-or-later
#include "fields.h"

const lmp_uq::FieldInfo lmp_uq::FIELDS[UQ_N_FIELDS] = {
    {"energy_std", "eV", "a posterior"},
    {"energy_lower", "eV", "a posterior"},
    {"energy_upper", "eV", "a posterior"},
    {"force_error", "eV/Angstrom", "a calibration of force_error"},
    {"grade", "1 = edge of the training atoms", "training descriptors for grade"},
    {"force_error_50", "eV/Angstrom", "a calibration of force_error at 50 %"},
    {"force_error_95", "eV/Angstrom", "a calibration of force_error at 95 %"},
    {"force_std", "eV/Angstrom", "force members"},
    {"force_std_x", "eV/Angstrom", "force members"},
    {"force_std_y", "eV/Angstrom", "force members"},
    {"force_std_z", "eV/Angstrom", "force members"},
};

const lmp_uq::FieldInfo lmp_uq::TOTALS[UQ_N_QUANTITIES - UQ_N_FIELDS] = {
    {"stress_std", "bar", "force members"},
    {"members", "eV", "a posterior"},
    {"energy_error", "eV", "a calibration of energy_error"},
    {"stress_error", "bar", "force members and a calibration of stress_error"},
};

const lmp_uq::FieldInfo &lmp_uq::quantity(int index) { return index < UQ_N_FIELDS ? FIELDS[index] : TOTALS[index - UQ_N_FIELDS]; }

bool lmp_uq::needs_pulls(int index)
{
  return (index >= UQ_FORCE_STD && index <= UQ_FORCE_STD_Z) || index == UQ_STRESS_STD || index == UQ_STRESS_ERROR;
}

bool lmp_uq::needs_force_norm(int index)
{
  return index == UQ_FORCE_ERROR || index == UQ_FORCE_ERROR_50 || index == UQ_FORCE_ERROR_95;
}

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
