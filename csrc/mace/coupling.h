// SPDX-License-Identifier: GPL-2.0-or-later
// The coupling of features with harmonics to messages, as sparse matrices between components.
#ifndef LMP_UQ_COUPLING_H
#define LMP_UQ_COUPLING_H

#include "formulas/paths.h"

#include <vector>

namespace lmp_uq {

// (2 l1+1, 2 l2+1, 2 l3+1): sqrt(2 l3+1) times the normalised integral of three harmonics, l1+l2+l3 even. It equals e3nn's
// Wigner 3j tensor of natural parity with its path normalisation.
std::vector<double> coupling_tensor(int l1, int l2, int l3);

// Sums over q of value[q] * in[index[q]] for each output o: start[o] <= q < start[o+1]
struct SparseMatrix {
  std::vector<int> start, index;
  std::vector<double> value;
};

struct Coupling {
  explicit Coupling(const Paths &paths);

  SparseMatrix forward;    // summed products -> messages, see Paths
  SparseMatrix reverse;    // its transpose
};

}    // namespace lmp_uq
#endif
