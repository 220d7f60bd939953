// SPDX-License-Identifier: GPL-2.0-or-later
// Names and units of what the pair style can tell about an atom and about the whole system.
#ifndef LMP_UQ_FIELDS_H
#define LMP_UQ_FIELDS_H

#include "bridge.h"

#include <string>

namespace lmp_uq {

enum class Threshold { None, Needed, Optional };    // behind the name of a field

struct FieldInfo {
  const char *name, *unit, *needs;    // needs: what a model file must hold, in words
  bool dear;                          // made from the derivatives of force members
  bool of_force;                      // made from |F_predicted| and the neighbour grade, see uq_force_variables
  Threshold threshold;
};
extern const FieldInfo FIELDS[UQ_N_FIELDS];
extern const FieldInfo TOTALS[UQ_N_QUANTITIES - UQ_N_FIELDS];

// What is asked for: a field, and of error_above and reliability its threshold.
struct Field {
  int index = -1;
  double threshold = 0.0;    // eV/Angstrom; 0 of reliability: the middle one of those that the file has

  const FieldInfo &info() const { return FIELDS[index]; }
  bool has_threshold() const { return info().threshold == Threshold::Needed || threshold > 0.0; }
  std::string text() const;    // as input scripts have it: "grade", "error_above 0.3"
};

const FieldInfo &quantity(int index);       // a field, or a total behind the fields
int find_field(const std::string &name);    // index, or -1
std::string field_names();                  // "energy_std, energy_lower, ..." for messages

}    // namespace lmp_uq
#endif
