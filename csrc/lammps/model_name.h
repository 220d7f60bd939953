// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_UQ_MODEL_NAME_H
#define LMP_UQ_MODEL_NAME_H

#include <string>

namespace lmp_uq {

// The file that a user means: a path, the name of an embedded model, or a file in a folder of LAMMPS_POTENTIALS, as lmp_uq.modelfile.resolve.
// The embedded ones lie in the folder models beside this plugin. std::runtime_error lists them and the folders where there is none.
std::string resolve_model(const std::string &name);

}    // namespace lmp_uq
#endif
