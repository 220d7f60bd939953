// SPDX-License-Identifier: GPL-2.0-or-later
// Paths of a message: features of degree l1 times harmonics of degree l2 give messages of degree l3, l1+l2+l3 even, ordered by l3, l1, l2
// as mace-torch orders its radial weights.
#ifndef LMP_UQ_PATHS_H
#define LMP_UQ_PATHS_H

#include "formulas/hd.h"

namespace lmp_uq {

constexpr int MAX_PATHS = 24, MAX_FEATURE_DEGREE = 2;

struct Paths {
  int n = 0;
  int l1[MAX_PATHS] = {}, l2[MAX_PATHS] = {}, l3[MAX_PATHS] = {};
  int outer[MAX_PATHS] = {};        // where the (2 l1+1)(2 l2+1) products of a path start among all of them
  int n_outer = 0;
  int n_of[4] = {};                 // paths with this l3
  int within[MAX_PATHS] = {};       // number of a path among those with its l3
  int block[4] = {};                // where messages of this l3 start; inside: component, then path
  int n_message = 0;                // (component, path) pairs
};

LMP_UQ_HD constexpr Paths make_paths(int l_in, int l_max)
{
  Paths p;
  for (int l3 = 0; l3 <= l_max; ++l3) {
    p.block[l3] = p.n_message;
    for (int l1 = 0; l1 <= l_in; ++l1)
      for (int l2 = 0; l2 <= l_max; ++l2) {
        const int low = l1 > l2 ? l1 - l2 : l2 - l1;
        if ((l1 + l2 + l3) % 2 || l3 < low || l3 > l1 + l2) continue;
        p.l1[p.n] = l1;
        p.l2[p.n] = l2;
        p.l3[p.n] = l3;
        p.outer[p.n] = p.n_outer;
        p.within[p.n] = p.n_of[l3]++;
        p.n_outer += (2 * l1 + 1) * (2 * l2 + 1);
        ++p.n;
      }
    p.n_message += p.n_of[l3] * (2 * l3 + 1);
  }
  return p;
}

}    // namespace lmp_uq
#endif
