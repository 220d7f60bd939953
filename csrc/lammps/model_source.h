// SPDX-License-Identifier: GPL-2.0-or-later
// The model file that pair_coeff names, found, read and hashed by rank 0 alone: thousands of ranks that open one file are a burden to it.
#ifndef LMP_UQ_MODEL_SOURCE_H
#define LMP_UQ_MODEL_SOURCE_H

#include "file/model_file.h"

#include <string>

namespace LAMMPS_NS {
class LAMMPS;
}

namespace lmp_uq {

struct ModelSource {
  std::string name, path;     // as the user wrote it; the file that it means
  ModelFile::Bytes bytes;
  std::string sha256;
};

// Collective; where it fails, one message and the same error on all ranks, which begins with who.
ModelSource read_on_one_rank(LAMMPS_NS::LAMMPS *lmp, const std::string &who, const std::string &name);

}    // namespace lmp_uq
#endif
