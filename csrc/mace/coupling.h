// SPDX-License-Identifier: GPL-2.0-or-later
// The coupling of features with harmonics to messages, as sparse maps between the kernels' components.
#ifndef LMP_UQ_COUPLING_H
#define LMP_UQ_COUPLING_H

#include "mace/cpu/kernels.h"
#include "formulas/paths.h"

#include <vector>

namespace lmp_uq {

// (2 l1+1, 2 l2+1, 2 l3+1): sqrt(2 l3+1) times the normalised integral of three harmonics, l1+l2+l3 even. It equals e3nn's
// Wigner 3j tensor of natural parity with its path normalisation.
std::vector<double> coupling_tensor(int l1, int l2, int l3);

template <class T> class CouplingMaps {
 public:
  explicit CouplingMaps(const Paths &paths);

  SparseMap<T> forward() const { return view(forward_); }       // summed products -> messages
  SparseMap<T> reverse() const { return view(reverse_); }       // its transpose

 private:
  struct Lists {
    std::vector<int> start, index;
    std::vector<T> value;
  };
  struct Entry {
    int product, message;
    double value;
  };
  static Lists sorted(const std::vector<Entry> &entries, int n_out, bool by_product);
  static SparseMap<T> view(const Lists &lists)
  {
    return {static_cast<int>(lists.start.size()) - 1, lists.start.data(), lists.index.data(), lists.value.data()};
  }

  Lists forward_, reverse_;
};

}    // namespace lmp_uq
#endif
