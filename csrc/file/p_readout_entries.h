// SPDX-License-Identifier: GPL-2.0-or-later
// The part of the specification on learned members: posterior.p_readout.
#ifndef LMP_UQ_P_READOUT_ENTRIES_H
#define LMP_UQ_P_READOUT_ENTRIES_H

#include "file/specification.h"

namespace lmp_uq {

bool has_p_readout(const Json &header);

std::vector<HeaderBlock> with_p_readout(std::vector<HeaderBlock> all);
std::vector<TensorEntry> with_p_readout(std::vector<TensorEntry> all);

// As `length`; 0 for symbols of other parts.
std::size_t p_readout_length(const std::string &symbol, const Json &header);

}    // namespace lmp_uq
#endif
