// SPDX-License-Identifier: GPL-2.0-or-later
#include "settings.h"

#include "base/text.h"
#include "base/threads.h"
#include "restart_text.h"

#include "lammps/error.h"
#include "lammps/fmt/format.h"
#include "lammps/lammps.h"
#include "lammps/utils.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

using namespace LAMMPS_NS;
using lmp_uq::Settings;

// Begins what the pair style writes into restart files. Below zero: versions before had the length of a text there.
static constexpr int RESTART_VERSION = -2;

namespace {

using Read = std::function<void(const std::string &value)>;

void one_of(LAMMPS *lmp, const std::string &keyword, const std::string &value, const std::vector<std::string> &accepted)
{
  if (std::find(accepted.begin(), accepted.end(), value) == accepted.end())
    lmp->error->all(FLERR, "Pair style mace/uq: unknown {} {} (accepted: {})", keyword, value, lmp_uq::joined(accepted, ", "));
}

// what each keyword does with its value; in the order of messages
std::vector<std::pair<std::string, Read>> keywords(Settings &s, LAMMPS *lmp)
{
  const auto word = [lmp](const char *keyword, std::string &target, const std::vector<std::string> &accepted) -> std::pair<std::string, Read> {
    return {keyword, [=, &target](const std::string &value) {
              one_of(lmp, keyword, value, accepted);
              target = value;
            }};
  };
  const auto positive = [lmp](const char *keyword, int &target, int most = MAXSMALLINT) -> std::pair<std::string, Read> {
    return {keyword, [=, &target](const std::string &value) {
              target = utils::inumeric(FLERR, value, false, lmp);
              if (target >= 1 && target <= most) return;
              const std::string accepted = most == MAXSMALLINT ? "1 or more" : fmt::format("1 to {}", most);
              lmp->error->all(FLERR, "Pair style mace/uq: {} must be {}, found {}", keyword, accepted, value);
            }};
  };
  return {word("engine", s.engine, {"auto", "torch", "native"}),
          {"device", [&s](const std::string &value) {
             s.device = value;
             s.asks_device = true;
           }},
          word("precision", s.precision, {"float32", "float64", "file"}),
          word("bars_precision", s.bars_precision, {"float32", "same"}),
          positive("members", s.members),
          positive("force_members", s.force_members),
          positive("threads", s.threads, lmp_uq::MAX_THREADS),
          {"conservative", [&s, lmp](const std::string &value) { s.conservative = utils::logical(FLERR, value, false, lmp); }},
          {"quantile", [&s, lmp](const std::string &value) {
             one_of(lmp, "quantile", value, {"loglinear", "learned"});
             s.learned = value == "learned";
           }}};
}

}    // namespace

Settings Settings::of_words(int narg, char **arg, LAMMPS *lmp)
{
  Settings s;
  const auto known = keywords(s, lmp);
  for (int i = 0; i < narg; i += 2) {
    const std::string keyword = arg[i];
    const auto found = std::find_if(known.begin(), known.end(), [&](const auto &entry) { return entry.first == keyword; });
    if (found == known.end()) {
      std::vector<std::string> names;
      for (const auto &entry : known) names.push_back(entry.first);
      lmp->error->all(FLERR, "Unknown pair_style mace/uq keyword {} (accepted: {})", keyword, lmp_uq::joined(names, ", "));
    }
    if (i + 1 >= narg) lmp->error->all(FLERR, "Pair style mace/uq: keyword {} needs a value", keyword);
    found->second(arg[i + 1]);
  }
  return s;
}

void Settings::write(FILE *fp) const
{
  fwrite(&RESTART_VERSION, sizeof(int), 1, fp);
  for (const auto &text : {device, precision, bars_precision, engine}) write_text(fp, text);
  const int numbers[] = {members, force_members, threads, conservative, learned};
  fwrite(numbers, sizeof(int), 5, fp);
}

Settings Settings::read(FILE *fp, LAMMPS *lmp)
{
  int version = 0;
  read_numbers(&version, 1, fp, lmp);
  if (version != RESTART_VERSION)
    lmp->error->all(FLERR, "Pair style mace/uq: the restart file was written by another version of lmp-uq (format {}, accepted: {}); convert it with "
                    "that version: lmp -restart2data, then read_data, pair_style and pair_coeff", version, RESTART_VERSION);
  Settings s;
  for (auto *text : {&s.device, &s.precision, &s.bars_precision, &s.engine}) *text = read_text(fp, lmp);
  int numbers[5];
  read_numbers(numbers, 5, fp, lmp);
  s.members = numbers[0];
  s.force_members = numbers[1];
  s.threads = numbers[2];
  s.conservative = numbers[3];
  s.learned = numbers[4];
  return s;
}
