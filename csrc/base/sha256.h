// SPDX-License-Identifier: GPL-2.0-or-later
// SHA-256 of a model file's bytes. Source: FIPS 180-4.
#ifndef LMP_UQ_SHA256_H
#define LMP_UQ_SHA256_H

#include <cstddef>
#include <string>

namespace lmp_uq {

std::string sha256(const unsigned char *bytes, std::size_t n);    // 64 hexadecimal digits

}    // namespace lmp_uq
#endif
