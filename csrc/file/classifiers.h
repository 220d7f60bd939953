// SPDX-License-Identifier: GPL-2.0-or-later
// The part of the specification on classifiers: calibration.probe and calibration.ordinal.
#ifndef LMP_UQ_CLASSIFIERS_H
#define LMP_UQ_CLASSIFIERS_H

#include "file/specification.h"

namespace lmp_uq {

std::vector<HeaderBlock> with_classifiers(std::vector<HeaderBlock> all);
std::vector<TensorEntry> with_classifiers(std::vector<TensorEntry> all);

// As `length`; 0 for symbols of other parts.
std::size_t classifier_length(const std::string &symbol, const Json &header);

}    // namespace lmp_uq
#endif
