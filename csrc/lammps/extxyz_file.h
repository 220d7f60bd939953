// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_UQ_EXTXYZ_FILE_H
#define LMP_UQ_EXTXYZ_FILE_H

#include <string>

namespace lmp_uq {

// Adds a frame to a file so that a reader, a crash or a full disk never sees half of it: the old content and the frame go to a temporary
// name, which then takes the file's place. Returns an empty string, or what went wrong (the file is then as it was).
std::string append_whole(const std::string &file, const std::string &frame);

}    // namespace lmp_uq
#endif
