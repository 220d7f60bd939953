// SPDX-License-Identifier: GPL-2.0-or-later
#include "loaded_model.h"

#include "base/text.h"
#include "guard.h"
#include "node_tables.h"

#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/fmt/format.h"
#include "lammps/lammps.h"
#include "lammps/utils.h"

#include <algorithm>
#include <set>
#include <utility>

using namespace LAMMPS_NS;
using lmp_uq::LoadedModel;

void LoadedModel::name_types(int n_types, char **elements)
{
  int n_species = 0;
  element_of_type.assign(n_types + 1, "NULL");
  species_of_type.assign(n_types + 1, -1);
  for (int type = 1; type <= n_types; type++) {
    element_of_type[type] = elements[type - 1];
    if (element_of_type[type] != "NULL") species_of_type[type] = n_species++;
  }
}

void LoadedModel::load(LAMMPS *lmp, const Settings &settings, const std::string &name)
{
  std::vector<std::string> taking_part;
  for (std::size_t type = 1; type < element_of_type.size(); type++)
    if (species_of_type[type] >= 0) taking_part.push_back(element_of_type[type]);
  TableWishes wishes;
  collective(lmp, PAIR_STYLE, [&] { wishes = TableWishes::of_environment(); });
  ModelSource source = read_on_one_rank(lmp, PAIR_STYLE, name);
  // kept only if every rank has one: in Python a failed pair_coeff is an exception, and the next run must find no evaluator, not half of one
  std::unique_ptr<Evaluator> loaded;
  std::string note;
  collective(lmp, PAIR_STYLE, [&] { loaded = load_evaluator(settings, source, taking_part, info, note); });
  source.bytes = {};    // before the room for tables is measured
  const std::size_t n_elements = std::set<std::string>(taking_part.begin(), taking_part.end()).size();
  const auto tables = std::make_shared<NodeTables>(lmp->world, n_elements, wishes);
  collective(lmp, PAIR_STYLE, [&] { tables->require_room(loaded->table_bytes()); });
  std::size_t n_bytes = 0;
  collective(lmp, PAIR_STYLE, [&] { n_bytes = loaded->make_tables(tables); });
  evaluator = std::move(loaded);
  file = name;
  threads = settings.threads;
  if (lmp->comm->me != 0) return;
  if (!note.empty()) utils::logmesg(lmp, "mace/uq: {}\n", note);
  utils::logmesg(lmp, "mace/uq: {}\n", info.summary);
  if (n_bytes) utils::logmesg(lmp, "mace/uq: {}\n", tables->summary(n_bytes));
  if (info.warning[0]) lmp->error->warning(FLERR, "mace/uq: {}", info.warning);
}

void LoadedModel::require_loaded(LAMMPS *lmp, const char *who) const
{
  if (!evaluator) lmp->error->all(FLERR, "{} must come after the pair_coeff command of pair style mace/uq", who);
}

void LoadedModel::require(LAMMPS *lmp, const Field &field, const char *who) const
{
  const int index = field.index;
  require_loaded(lmp, who);
  if (!info.available[index])
    lmp->error->all(FLERR, "{}: field {} needs {}, which {} does not hold (see lmp-uq inspect; lmp-uq fit and lmp-uq calibrate write it)", who,
                    quantity(index).name, quantity(index).needs, file);
  const double *first = info.thresholds, *last = first + info.n_thresholds;
  if (index != UQ_RELIABILITY || field.threshold == 0.0 || std::find(first, last, field.threshold) != last) return;
  std::vector<std::string> known;
  for (const double *threshold = first; threshold < last; threshold++) known.push_back(fmt::format("{:g}", *threshold));
  lmp->error->all(FLERR, "{}: the threshold of {} is {} (accepted: {} eV/Angstrom, for which the classifier of {} was trained)", who,
                  quantity(index).name, fmt::format("{:g}", field.threshold), joined(known, ", "), file);
}

int LoadedModel::passes(int index) const
{
  if (quantity(index).dear) return info.n_force_members;
  return quantity(index).of_force ? info.uses_correction : 0;
}
