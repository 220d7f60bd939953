// SPDX-License-Identifier: GPL-2.0-or-later
// What a model file must fulfil before anyone uses it: the tables of specification.h, and what one entry demands of another.
#ifndef LMP_UQ_MODEL_CHECK_H
#define LMP_UQ_MODEL_CHECK_H

#include "base/json.h"
#include "file/tensor.h"

#include <string>

namespace lmp_uq {

// std::runtime_error names the key, what it holds and what is accepted. where: the file, for the message.
void check_header(const Json &header, const std::string &where);

// The same of a tensor; of a header that has passed check_header.
void check_tensors(const Json &header, const Tensors &tensors, const std::string &where);

}    // namespace lmp_uq
#endif
