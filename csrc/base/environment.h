// SPDX-License-Identifier: GPL-2.0-or-later
// What the variables LMP_UQ_* of the environment say. One that is empty is as one that is not set. std::runtime_error: a value that is not
// accepted.
#ifndef LMP_UQ_ENVIRONMENT_H
#define LMP_UQ_ENVIRONMENT_H

#include <string>
#include <vector>

namespace lmp_uq {

std::string environment(const char *name);    // empty: not set
std::string environment_word(const char *name, const std::vector<std::string> &accepted, const char *where = "");    // empty: not set
double environment_positive(const char *name, double otherwise);    // a finite number above 0

// The error of a value that turned out not to be what a variable accepts.
[[noreturn]] void refuse_environment(const char *name, const std::string &accepted, const char *where = "");

}    // namespace lmp_uq
#endif
