// SPDX-License-Identifier: GPL-2.0-or-later
// What becomes of C++ exceptions in the styles. LAMMPS catches only its own: any other ends the process without a word, or, where Python
// owns it, one rank, and the rest wait for it in MPI.
#ifndef LMP_UQ_GUARD_H
#define LMP_UQ_GUARD_H

#include <functional>
#include <string>

namespace LAMMPS_NS {
class LAMMPS;
}

namespace lmp_uq {

// Work that all ranks do at set-up: the text of the lowest failing rank, once, then the same error on all of them. who begins the message.
void collective(LAMMPS_NS::LAMMPS *lmp, const std::string &who, const std::function<void()> &work);

// Work of a step, where one rank may fail alone while the others wait in an exchange: an exception ends all ranks. LAMMPS' own pass unchanged.
void guarded(LAMMPS_NS::LAMMPS *lmp, const std::string &who, const std::function<void()> &work);

// Ends all ranks with one message, "who on step n: text".
[[noreturn]] void fail_here(LAMMPS_NS::LAMMPS *lmp, const std::string &who, const std::string &text);

}    // namespace lmp_uq
#endif
