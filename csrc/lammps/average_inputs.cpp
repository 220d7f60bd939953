// SPDX-License-Identifier: GPL-2.0-or-later
#include "average_inputs.h"

#include "lammps/compute.h"
#include "lammps/error.h"
#include "lammps/fix.h"
#include "lammps/input.h"
#include "lammps/modify.h"
#include "lammps/update.h"
#include "lammps/utils.h"
#include "lammps/variable.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;

static constexpr char ACCEPTED[] = "c_ID, c_ID[I], f_ID, f_ID[I], v_name of a global scalar, vector or array of fixed length";

AverageInputs::AverageInputs(LAMMPS *lmp, std::string who) : Pointers(lmp), who_(std::move(who)) {}

bool AverageInputs::is_input(const std::string &word)
{
  return word.size() > 2 && word[1] == '_' && (word[0] == 'c' || word[0] == 'f' || word[0] == 'v');
}

void AverageInputs::refuse(const std::string &word, const std::string &found)
{
  error->all(FLERR, "{}: input {}: {}; accepted: {}", who_, word, found, ACCEPTED);
  throw 0;    // not reached
}

void AverageInputs::add(const std::string &word)
{
  const auto open = word.find('[');
  const std::string id = word.substr(2, open == std::string::npos ? open : open - 2);
  std::string range;
  if (open != std::string::npos) {
    if (word.back() != ']' || open + 2 >= word.size()) refuse(word, "no index between brackets");
    range = word.substr(open + 1, word.size() - open - 2);
  }
  if (word[0] == 'v') return add_variable(word, id, range);
  if (word[0] == 'c') {
    const Compute *compute = modify->get_compute_by_id(id);
    if (!compute) refuse(word, "there is no compute " + id);
    return add_members(word, id, range, COMPUTE, compute);
  }
  const Fix *fix = modify->get_fix_by_id(id);
  if (!fix) refuse(word, "there is no fix " + id);
  add_members(word, id, range, FIX, fix);
}

static const char *style_of(const Compute *compute) { return compute->style; }
static const char *style_of(const Fix *) { return nullptr; }

// without an index the scalar, or where there is none the vector; with one elements of the vector, or where there is none columns
template <class Owner>
void AverageInputs::add_members(const std::string &word, const std::string &id, const std::string &range, Source source, const Owner *owner)
{
  if (!owner->scalar_flag && !owner->vector_flag && !owner->array_flag) refuse(word, "it has no global values");
  if (range.empty()) {
    if (!owner->scalar_flag && !owner->vector_flag) refuse(word, "it has no scalar and no vector, columns of its array are " + word + "[I]");
    Entry entry = {source, owner->scalar_flag ? SCALAR : VECTOR, word, id};
    entry.length = length_of(entry, owner);
    return push(entry, style_of(owner));
  }
  if (!owner->vector_flag && !owner->array_flag) refuse(word, "it has no vector and no array");
  if (owner->vector_flag && owner->size_vector_variable) refuse(word, "its length is not fixed");
  int first = 0, last = 0;
  utils::bounds(FLERR, range, 1, owner->vector_flag ? owner->size_vector : owner->size_array_cols, first, last, error);
  for (int index = first; index <= last; index++) {
    Entry entry = {source, owner->vector_flag ? ELEMENT : COLUMN, word.substr(0, 2) + id + "[" + std::to_string(index) + "]", id, index - 1};
    entry.length = length_of(entry, owner);
    push(entry, style_of(owner));
  }
}

// 0 where it is not fixed: it may shrink between two samples
template <class Owner> int AverageInputs::length_of(const Entry &entry, const Owner *owner) const
{
  if (entry.shape == COLUMN) return owner->size_array_rows_variable ? 0 : owner->size_array_rows;
  if (entry.shape != SCALAR && owner->size_vector_variable) return 0;
  return entry.shape == VECTOR ? owner->size_vector : 1;
}

void AverageInputs::add_variable(const std::string &word, const std::string &id, const std::string &range)
{
  const int number = input->variable->find(id.c_str());
  if (number < 0) refuse(word, "there is no variable " + id);
  if (input->variable->equalstyle(number)) {
    if (!range.empty()) refuse(word, "a variable of style equal has no elements");
    return push({VARIABLE, SCALAR, word, id}, nullptr);
  }
  if (!input->variable->vectorstyle(number)) refuse(word, "variable " + id + " is of neither style equal nor vector");
  if (!range.empty()) refuse(word, "elements of a vector-style variable are taken together, as v_" + id);
  double *values = nullptr;
  Entry whole = {VARIABLE, VECTOR, word, id};
  whole.length = input->variable->compute_vector(number, &values);
  push(whole, nullptr);
}

void AverageInputs::push(const Entry &entry, const char *style)
{
  if (entry.length < 1) refuse(entry.word, "its length is not fixed");
  Dependence first = POSITIONS;
  if (style && strcmp(style, "pe") == 0) first = ENERGY;
  if (style && strcmp(style, "pressure") == 0)
    first = entry.shape == SCALAR ? PRESSURE : static_cast<Dependence>(PXX + (entry.shape == ELEMENT ? entry.index : 0));
  for (int k = 0; k < entry.length; k++)
    dependences_.push_back(first >= PXX ? static_cast<Dependence>(first + k) : first);
  entries_.push_back(entry);
  n_values_ += entry.length;
}

bool AverageInputs::any_pressure() const
{
  return std::any_of(dependences_.begin(), dependences_.end(), [](Dependence d) { return d >= PRESSURE; });
}

bool AverageInputs::any_of_positions() const { return std::count(dependences_.begin(), dependences_.end(), POSITIONS) > 0; }

void AverageInputs::init(int nevery)
{
  for (const Entry &entry : entries_) {
    int length = 1;
    if (entry.source == COMPUTE) {
      const Compute *compute = modify->get_compute_by_id(entry.id);
      if (!compute) refuse(entry.word, "the compute is gone");
      length = length_of(entry, compute);
    } else if (entry.source == FIX) {
      const Fix *fix = modify->get_fix_by_id(entry.id);
      if (!fix) refuse(entry.word, "the fix is gone");
      if (nevery % fix->global_freq)
        refuse(entry.word, fmt::format("its values are there every {} steps, they are sampled every {}", fix->global_freq, nevery));
      length = length_of(entry, fix);
    } else {
      const int number = input->variable->find(entry.id.c_str());
      if (number < 0) refuse(entry.word, "the variable is gone");
      if (!(entry.shape == SCALAR ? input->variable->equalstyle(number) : input->variable->vectorstyle(number)))
        refuse(entry.word, "the variable is of another style than when the fix was defined");
    }
    if (entry.source != VARIABLE && length != entry.length)
      refuse(entry.word, fmt::format("it had {} values, now {}", entry.length, length));
  }
}

std::string AverageInputs::label(int value) const
{
  for (const Entry &entry : entries_) {
    if (value < entry.length) return entry.word + " " + std::to_string(entry.length > 1 ? value + 1 : 0);
    value -= entry.length;
  }
  return "";
}

std::string AverageInputs::words() const
{
  std::string out;
  for (const Entry &entry : entries_)
    out += (out.empty() ? "" : " ") + entry.word + (entry.length > 1 ? "(" + std::to_string(entry.length) + ")" : "");
  return out;
}

std::vector<std::string> AverageInputs::description() const
{
  std::vector<std::string> lines;
  int first = 0;
  for (const Entry &entry : entries_) {
    const Dependence of = dependences_[first];
    lines.push_back(entry.word + (of == ENERGY         ? ": an energy, <da/dTheta> = <Phi>"
                                      : of >= PRESSURE ? ": a pressure, <da/dTheta> = <-dPhi/dstrain>/V"
                                                       : ": taken as a function of the positions only, <da/dTheta> = 0"));
    first += entry.length;
  }
  return lines;
}

void AverageInputs::sample(double *values)
{
  double *next = values;
  for (const Entry &entry : entries_) {
    if (entry.source == COMPUTE) sample_compute(entry, next);
    if (entry.source == FIX) sample_fix(entry, next);
    if (entry.source == VARIABLE) sample_variable(entry, next);
    next += entry.length;
  }
  MPI_Bcast(values, n_values_, MPI_DOUBLE, 0, world);    // one average, and one error, also where a global value is right on rank 0 only
  for (const Entry &entry : entries_) {
    for (int k = 0; k < entry.length; k++)
      if (!std::isfinite(values[k])) error->all(FLERR, "{}: input {} is {} on step {}", who_, entry.word, values[k], update->ntimestep);
    values += entry.length;
  }
}

void AverageInputs::sample_compute(const Entry &entry, double *out)
{
  Compute *compute = modify->get_compute_by_id(entry.id);
  if (!compute) refuse(entry.word, "the compute is gone");
  const auto once = [&](int flag, void (Compute::*work)()) {
    if (!(compute->invoked_flag & flag)) (compute->*work)();
    compute->invoked_flag |= flag;
  };
  if (entry.shape == SCALAR) {
    if (!(compute->invoked_flag & Compute::INVOKED_SCALAR)) compute->compute_scalar();
    compute->invoked_flag |= Compute::INVOKED_SCALAR;
    out[0] = compute->scalar;
  } else if (entry.shape == COLUMN) {
    once(Compute::INVOKED_ARRAY, &Compute::compute_array);
    for (int k = 0; k < entry.length; k++) out[k] = compute->array[k][entry.index];
  } else {
    once(Compute::INVOKED_VECTOR, &Compute::compute_vector);
    std::copy_n(compute->vector + entry.index, entry.length, out);
  }
}

void AverageInputs::sample_fix(const Entry &entry, double *out)
{
  Fix *fix = modify->get_fix_by_id(entry.id);
  if (!fix) refuse(entry.word, "the fix is gone");
  for (int k = 0; k < entry.length; k++)
    out[k] = entry.shape == SCALAR ? fix->compute_scalar()
        : entry.shape == COLUMN    ? fix->compute_array(k, entry.index)
                                   : fix->compute_vector(entry.index + k);
}

void AverageInputs::sample_variable(const Entry &entry, double *out)
{
  const int number = input->variable->find(entry.id.c_str());
  if (number < 0) refuse(entry.word, "the variable is gone");
  if (entry.shape == SCALAR) {
    out[0] = input->variable->compute_equal(number);
    return;
  }
  double *values = nullptr;
  const int length = input->variable->compute_vector(number, &values);
  if (length != entry.length) refuse(entry.word, fmt::format("it had {} values, now {}", entry.length, length));
  std::copy_n(values, length, out);
}
