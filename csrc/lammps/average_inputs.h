// SPDX-License-Identifier: GPL-2.0-or-later
// The inputs of fix uq/average: global scalars, vectors and columns of computes, fixes and variables, as one list of values.
#ifndef LMP_UQ_AVERAGE_INPUTS_H
#define LMP_UQ_AVERAGE_INPUTS_H

#include "lammps/lmptype.h"
#include "lammps/pointers.h"

#include <string>
#include <vector>

namespace LAMMPS_NS {

class AverageInputs : protected Pointers {
 public:
  // How a value depends on Theta at fixed positions: not at all, as the energy, as the pressure or one of its components.
  enum Dependence { POSITIONS, ENERGY, PRESSURE, PXX, PYY, PZZ, PXY, PXZ, PYZ, N_DEPENDENCES };

  AverageInputs(class LAMMPS *, std::string who);

  static bool is_input(const std::string &word);    // c_ID, f_ID, v_name, with or without an index
  void add(const std::string &word);                // error->all for what is not there or not global
  void init(int nevery);                            // error->all where an input has gone or changed

  int n_values() const { return n_values_; }
  const std::vector<Dependence> &dependences() const { return dependences_; }    // of the values
  bool any_pressure() const;
  bool any_of_positions() const;
  std::string label(int value) const;               // as c_rdf[2] 7
  std::string words() const;                        // all inputs, those of several values with their number, as c_rdf[2](50)
  std::vector<std::string> description() const;     // one line for each input: where it comes from in the formula

  void sample(double *values);                      // of the present step; collective

 private:
  enum Source { COMPUTE, FIX, VARIABLE };
  enum Shape { SCALAR, ELEMENT, VECTOR, COLUMN };
  struct Entry {
    Source source;
    Shape shape;
    std::string word, id;
    int index = 0, length = 1;    // index from 0
  };
  template <class Owner> void add_members(const std::string &word, const std::string &id, const std::string &range, Source source,
                                          const Owner *owner);
  template <class Owner> int length_of(const Entry &entry, const Owner *owner) const;
  void add_variable(const std::string &word, const std::string &id, const std::string &range);
  void push(const Entry &entry, const char *compute_style);
  void sample_compute(const Entry &entry, double *out);
  void sample_fix(const Entry &entry, double *out);
  void sample_variable(const Entry &entry, double *out);
  [[noreturn]] void refuse(const std::string &word, const std::string &found);

  std::string who_;
  std::vector<Entry> entries_;
  std::vector<Dependence> dependences_;
  int n_values_ = 0;
};

}    // namespace LAMMPS_NS
#endif
