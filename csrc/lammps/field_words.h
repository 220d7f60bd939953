// SPDX-License-Identifier: GPL-2.0-or-later
// Fields as the commands of this plugin name them.
#ifndef LMP_UQ_FIELD_WORDS_H
#define LMP_UQ_FIELD_WORDS_H

#include "fields.h"

#include <string>

namespace LAMMPS_NS {
class LAMMPS;
}

namespace lmp_uq {

// The field that words[at] names, and the threshold in the next word where it takes one; at: moved behind them. who begins the messages.
// One that may be left out is there where that word is a number.
Field read_field(LAMMPS_NS::LAMMPS *lmp, const char *who, int n_words, char **words, int &at);

// The threshold of a field in words[at], moved behind it, where it takes one; said: the word before it, for the message.
void read_threshold(LAMMPS_NS::LAMMPS *lmp, const char *who, const std::string &said, int n_words, char **words, int &at, Field &field);

// The number behind the keyword pair, which of several mace/uq is meant: words[at] and the next one, at moved behind them. False: it is
// another word.
bool read_pair(LAMMPS_NS::LAMMPS *lmp, const char *who, int n_words, char **words, int &at, int &number);

// Error where a limit can never be reached: probabilities end at 1, and another number is meant in eV/Angstrom.
void check_limit(LAMMPS_NS::LAMMPS *lmp, const char *who, const Field &field, double limit);

// The field of fix pair, which has one word for it: error_above:0.3. Index -1 where there is no such field.
Field field_of_fix_pair(LAMMPS_NS::LAMMPS *lmp, const std::string &word);

}    // namespace lmp_uq
#endif
