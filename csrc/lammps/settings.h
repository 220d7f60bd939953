// SPDX-License-Identifier: GPL-2.0-or-later
// What the keywords of pair_style mace/uq say.
#ifndef LMP_UQ_SETTINGS_H
#define LMP_UQ_SETTINGS_H

#include <cstdio>
#include <string>

namespace LAMMPS_NS {
class LAMMPS;
}

namespace lmp_uq {

struct Settings {
  std::string device = "auto", precision = "file", engine = "auto", bars_precision = "same";
  bool asks_device = false;    // who does not ask need not be told why auto is the CPU
  int members = 0, force_members = 0, threads = 1, conservative = 0, learned = 0, local_rank = 0, ranks_of_node = 1;

  static Settings of_words(int narg, char **arg, LAMMPS_NS::LAMMPS *lmp);    // of the input command

  void write(FILE *fp) const;    // into a restart file
  static Settings read(FILE *fp, LAMMPS_NS::LAMMPS *lmp);
};

}    // namespace lmp_uq
#endif
