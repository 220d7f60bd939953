// SPDX-License-Identifier: GPL-2.0-or-later
// What a posterior head hands over to who works on atoms elsewhere: see base/head_matrices.h.
#ifndef LMP_UQ_HEAD_MATRICES_H
#define LMP_UQ_HEAD_MATRICES_H

#include "base/head_matrices.h"

#include <vector>

namespace lmp_uq {

struct HeadMatrices {
  int n_descriptors = 0, n_modes = 0, n_bias = 0;
  double z = 0.0;
  std::vector<double> box, bias;    // box: empty without a posterior
  std::vector<int> known;
  std::vector<double> radius, mean, whitening;

  // pointers into this
  lmp_uq_head_matrices view() const
  {
    return {n_descriptors, n_modes, n_bias, z, box.empty() ? nullptr : box.data(), bias.data(), static_cast<int>(known.size()), known.data(),
            radius.data(), mean.data(), whitening.data()};
  }
};

}    // namespace lmp_uq
#endif
