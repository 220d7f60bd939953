// SPDX-License-Identifier: GPL-2.0-or-later
// Calls of a library in C that say by a text what went wrong.
#ifndef LMP_UQ_PROBLEM_H
#define LMP_UQ_PROBLEM_H

#include <stdexcept>

namespace lmp_uq {

constexpr int MOST_TEXT = 1000;

// calls f(problem, size); std::runtime_error: the problem
template <class F> void without_problem(const F &f)
{
  char problem[MOST_TEXT] = "";
  f(problem, MOST_TEXT);
  if (problem[0]) throw std::runtime_error(problem);
}

}    // namespace lmp_uq
#endif
