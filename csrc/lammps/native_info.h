// SPDX-License-Identifier: GPL-2.0-or-later
// What the native engine tells the pair style of a file that it has loaded.
#ifndef LMP_UQ_NATIVE_INFO_H
#define LMP_UQ_NATIVE_INFO_H

#include "bridge.h"
#include "file/model_file.h"
#include "head/posterior.h"
#include "mace/engine.h"

#include <string>
#include <vector>

namespace lmp_uq {

inline constexpr double LEVEL_50 = 0.5, LEVEL_95 = 0.95;    // of the fields force_error_50 and force_error_95

std::vector<std::string> symbols_of(const ModelFile &file);
uq_model_info describe(const ModelFile &file, const Posterior &head, bool has_readout, const Engine &engine, const std::string &precision);

}    // namespace lmp_uq
#endif
