// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute_uq_linear.h"

#include "base/bytes.h"
#include "fix_uq_columns.h"
#include "guard.h"
#include "linear/linear_potential.h"
#include "model_name.h"
#include "over_ranks.h"
#include "base/text.h"

#include "lammps/atom.h"
#include "lammps/error.h"
#include "lammps/update.h"
#include "lammps/utils.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

using namespace LAMMPS_NS;

static const std::vector<std::string> KEYWORDS = {"gradient", "virial", "elements", "pair", "check"};
static constexpr char WHO[] = "Compute uq/linear";

const char *const ComputeUqLinear::NAMES[N_FIELDS] = {"energy_std", "energy_lower", "energy_upper", "grade",
                                                      "force_std",  "force_std_x",  "force_std_y",  "force_std_z"};

ComputeUqLinear::ComputeUqLinear(LAMMPS *lmp, int narg, char **arg) : Compute(lmp, narg, arg)
{
  if (narg < 6) error->all(FLERR, "Compute uq/linear needs a *.uq file, the columns c_ID[*] of a compute and a field (accepted: {})", names());
  if (strcmp(update->unit_style, "metal") != 0)
    error->all(FLERR, "Compute uq/linear needs units metal (eV, Angstrom), found units {}", update->unit_style);
  file = arg[3];
  descriptor_id = compute_id(arg[4], "the descriptors");
  lmp_uq::collective(lmp, WHO, [&] { potential = std::make_unique<lmp_uq::LinearPotential>(lmp_uq::resolve_model(file)); });
  int at = 5;
  while (at < narg) {
    const int next = keyword(at, narg, arg);
    if (next == at) {
      const auto found = std::find(NAMES, NAMES + N_FIELDS, std::string(arg[at]));
      if (found == NAMES + N_FIELDS)
        error->all(FLERR, "Unknown compute uq/linear field or keyword {} (accepted: {}, and keywords {})", arg[at], names(), lmp_uq::joined(KEYWORDS, ", "));
      fields.push_back(static_cast<Field>(found - NAMES));
      at++;
    } else {
      at = next;
    }
  }
  if (pair_style.empty()) pair_style = potential->descriptors().pair_style();
  if (fields.empty()) error->all(FLERR, "Compute uq/linear needs at least one field (accepted: {})", names());
  if (asks_forces() && gradient_id.empty())
    error->all(FLERR, "Compute uq/linear: force_std needs the keyword gradient with the columns of a compute such as snad/atom");
  if (std::count(fields.begin(), fields.end(), GRADE) && !potential->posterior().has_grade())
    error->all(FLERR, "Compute uq/linear: field grade needs training descriptors for grade, which {} does not hold", file);
  map_types();

  peratom_flag = vector_flag = timeflag = peflag = 1;    // peflag: the pair energy is tallied where it is compared with
  size_peratom_cols = fields.size() == 1 ? 0 : static_cast<int>(fields.size());
  columns.resize(fields.size());
  totals.assign((potential->posterior().has_energy_error() ? 4 : 3) + (virial_id.empty() ? 0 : 6), 0.0);
  size_vector = static_cast<int>(totals.size());
  vector = totals.data();
  extvector = -1;
  extlist = new int[totals.size()]{0, 1, 1};    // energies shift with the zero of energy and grow with the system; bars do not
}

void ComputeUqLinear::post_constructor() { FixUqColumns::add(lmp, this, static_cast<int>(fields.size())); }

ComputeUqLinear::~ComputeUqLinear()
{
  delete[] extlist;
  FixUqColumns::remove(lmp, this);
}

std::string ComputeUqLinear::names()
{
  std::string all;
  for (const char *name : NAMES) all += (all.empty() ? "" : ", ") + std::string(name);
  return all;
}

// the index behind a keyword and its values; the same index where the word is no keyword
int ComputeUqLinear::keyword(int at, int narg, char **arg)
{
  const std::string keyword = arg[at];
  const int n_values = keyword == "elements" ? atom->ntypes : 1;
  if (std::find(KEYWORDS.begin(), KEYWORDS.end(), keyword) == KEYWORDS.end()) return at;
  if (at + n_values >= narg)
    error->all(FLERR, "Compute uq/linear: keyword {} needs {}", keyword, n_values == 1 ? "a value" : "an element (or NULL) for each atom type");
  if (keyword == "gradient") gradient_id = compute_id(arg[at + 1], "the gradient");
  if (keyword == "virial") virial_id = compute_id(arg[at + 1], "the virial");
  if (keyword == "pair") pair_style = arg[at + 1];
  if (keyword == "check") check = utils::logical(FLERR, arg[at + 1], false, lmp);
  if (keyword == "elements") element_names.assign(arg + at + 1, arg + at + 1 + n_values);
  return at + 1 + n_values;
}

void ComputeUqLinear::map_types()
{
  const auto &known = potential->elements();
  std::string all;
  for (const auto &element : known) all += (all.empty() ? "" : " ") + element;
  if (element_names.empty()) {
    if (known.size() != 1 && atom->ntypes != static_cast<int>(known.size()))
      error->all(FLERR, "Compute uq/linear: {} has the elements {}, the system {} atom types: keyword elements says which is which", file, all,
                 atom->ntypes);
    for (int type = 0; type < atom->ntypes; type++) element_names.push_back(known[known.size() == 1 ? 0 : type]);
  }
  element_of_type.assign(atom->ntypes + 1, -1);
  for (int type = 1; type <= atom->ntypes; type++) {
    const std::string &name = element_names[type - 1];
    const auto found = std::find(known.begin(), known.end(), name);
    if (found == known.end() && name != "NULL")
      error->all(FLERR, "Compute uq/linear: element {} is not in {} (accepted: {}; NULL for none)", name, file, all);
    if (found != known.end()) element_of_type[type] = static_cast<int>(found - known.begin());
  }
}

bool ComputeUqLinear::asks_forces() const
{
  return std::any_of(fields.begin(), fields.end(), [](Field field) { return field >= FORCE_STD; });
}

void ComputeUqLinear::init()
{
  descriptors();
  if (!gradient_id.empty()) gradient();
  if (!virial_id.empty()) virial_source();
  FixUqColumns::of(lmp, this).release();
  invoked_flag = INVOKED_NONE;    // commands that move atoms begin with this: what was evaluated before is asked for anew
}

/* ---- a step ---------------------------------------------------------------------------------------------------------------- */

void ComputeUqLinear::guarded(const std::function<void()> &work) { lmp_uq::guarded(lmp, WHO, work); }

// Between runs the other compute looks at neighbours that LAMMPS found before: whether they are still those of the present atoms. False: what
// was evaluated on that step still holds, of the same atoms in another order. Ends with an error where there is nothing to say.
bool ComputeUqLinear::same_atoms(bigint evaluated)
{
  if (update->whichflag != 0) return true;
  using lmp_uq::Configuration;
  Configuration &end_of_run = FixUqColumns::of(lmp, this).end_of_run();
  if (!end_of_run.taken()) error->all(FLERR, "Compute uq/linear: there has been no run since it was defined: run 0 first");
  std::string what;
  const auto state = end_of_run.compare(what);
  if (state == Configuration::SAME) return true;
  if (state == Configuration::REORDERED) what = "their order, ranks or ghosts";
  if (state == Configuration::CHANGED || evaluated != update->ntimestep)
    error->all(FLERR, "Compute uq/linear: atoms changed since the last run ({}): run 0 first", what);
  return false;
}

void ComputeUqLinear::compute_peratom()
{
  invoked_peratom = update->ntimestep;
  guarded([&] {
    const bool same = same_atoms(columns_step);
    if (same) {
      invoke(descriptors());
      for (auto &column : columns) column.assign(atom->nlocal + 1, 0.0);
      energy_fields();
      if (asks_forces()) force_fields();
      columns_step = update->ntimestep;
    }
    publish(same);
  });
}

// features of the atoms from `first` on into rows; how many they are
int ComputeUqLinear::read_block(Compute *source, int first, Block &block)
{
  const std::size_t width = potential->width();
  const int n = std::min(BLOCK, atom->nlocal - first);
  rows.assign(n * width, 0.0);
  for (int k = 0; k < n; k++) {
    block.species[k] = element_of_type[atom->type[first + k]];
    block.energies[k] = 0.0;
    if (block.species[k] < 0) continue;
    potential->place(block.species[k], row_of(source, first + k), rows.data() + k * width);
    block.energies[k] = potential->energy(block.species[k], row_of(source, first + k));
  }
  return n;
}

void ComputeUqLinear::energy_fields()
{
  Compute *source = descriptors();
  Block block;
  double bars[4][BLOCK];    // as the fields: std, lower, upper, grade
  for (int first = 0; first < atom->nlocal; first += BLOCK) {
    const int n = read_block(source, first, block);
    auto &head = potential->posterior();
    head.energy_bars(n, rows.data(), block.species, block.energies, bars[0], bars[1], bars[2]);
    if (std::count(fields.begin(), fields.end(), GRADE)) head.grades(n, rows.data(), block.species, bars[3]);
    for (std::size_t c = 0; c < fields.size(); c++)
      if (fields[c] <= GRADE) std::copy_n(bars[fields[c]], n, columns[c].begin() + first);
  }
}

void ComputeUqLinear::force_fields()
{
  Compute *source = gradient();
  invoke(source);
  const std::size_t width = potential->width();
  constexpr int ATOMS = BLOCK / 3;
  double std[BLOCK];
  for (int first = 0; first < atom->nlocal; first += ATOMS) {
    const int n = std::min(ATOMS, atom->nlocal - first);
    rows.assign(3 * n * width, 0.0);
    for (int k = 0; k < 3 * n; k++)
      if (element_of_type[atom->type[first + k / 3]] >= 0) gradient_row(source, first + k / 3, k % 3, rows.data() + k * width);
    potential->posterior().row_std(3 * n, rows.data(), std);
    for (std::size_t c = 0; c < fields.size(); c++)
      for (int k = 0; fields[c] >= FORCE_STD && k < n; k++) {
        const double *s = std + 3 * k;
        columns[c][first + k] = fields[c] == FORCE_STD ? std::sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2]) : s[fields[c] - FORCE_STD_X];
      }
  }
}

// same: the columns are in the order of the present atoms, else in that of the end of the run
void ComputeUqLinear::publish(bool same)
{
  FixUqColumns &published = FixUqColumns::of(lmp, this);
  published.reserve();
  std::vector<double> present;
  for (std::size_t c = 0; c < fields.size(); c++) {
    if (!same) published.end_of_run().follow(columns[c].data(), 1, present);
    const std::vector<double> &column = same ? columns[c] : present;
    for (int i = 0; i < atom->nlocal; i++) {
      const double value = (atom->mask[i] & groupbit) ? column[i] : 0.0;
      if (std::isnan(value)) lmp_uq::fail_here(lmp, WHO, fmt::format("{} of atom {} is not a number", NAMES[fields[c]], atom->tag[i]));
      published.row(i)[c] = value;
    }
  }
  if (update->whichflag == 0) published.hold();
}

// of the total energy of the linear part: the reference potential carries no uncertainty
void ComputeUqLinear::compute_vector()
{
  invoked_vector = update->ntimestep;
  guarded([&] {
    if (!same_atoms(totals_step)) return;
    auto &head = potential->posterior();
    double energy = 0.0, grades[2] = {0.0, 0.0};
    const std::vector<double> features = feature_sum(energy, head.energy_error().of_mean_grade ? grades : nullptr);
    head.totals(features.data(), energy, totals.data());
    if (head.has_energy_error())
      totals[3] = lmp_uq::energy_bar(head.energy_error(), totals[0], grades[1] > 0.0 ? grades[0] / grades[1] : 0.0, grades[1]);
    if (!virial_id.empty()) stress_std(totals.data() + totals.size() - 6);
    totals_step = update->ntimestep;
  });
}

// features and energy summed over all atoms of all ranks; grades: their sum and the number of atoms, where somebody asks
std::vector<double> ComputeUqLinear::feature_sum(double &energy, double *grades)
{
  Compute *source = descriptors();
  invoke(source);
  auto &head = potential->posterior();
  const std::size_t n_features = head.n_features();
  std::vector<double> of_this_rank(n_features + 3, 0.0), of_block(n_features);    // behind the features: energy, grades, atoms
  Block block;
  double grade[BLOCK] = {};
  for (int first = 0; first < atom->nlocal; first += BLOCK) {
    const int n = read_block(source, first, block);
    head.feature_sum(n, rows.data(), block.species, of_block.data());
    for (std::size_t p = 0; p < n_features; p++) of_this_rank[p] += of_block[p];
    if (grades) head.grades(n, rows.data(), block.species, grade);
    for (int k = 0; k < n; k++) {
      of_this_rank[n_features] += block.energies[k];
      of_this_rank[n_features + 1] += grade[k];
      of_this_rank[n_features + 2] += block.species[k] >= 0;
    }
  }
  std::vector<double> sum = lmp_uq::sum_over_ranks(world, of_this_rank);
  energy = sum[n_features];
  if (grades) std::copy_n(sum.begin() + n_features + 1, 2, grades);
  sum.resize(n_features);
  return sum;
}

double ComputeUqLinear::memory_usage()
{
  std::size_t bytes = potential->n_bytes() + lmp_uq::bytes_of(rows, totals);
  for (const auto &column : columns) bytes += lmp_uq::bytes_of(column);
  return static_cast<double>(bytes);
}
