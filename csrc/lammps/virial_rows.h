// SPDX-License-Identifier: GPL-2.0-or-later
// How the features of the whole system change with strain: what averages of pressures need.
#ifndef LMP_UQ_VIRIAL_ROWS_H
#define LMP_UQ_VIRIAL_ROWS_H

#include "evaluator.h"

#include <mpi.h>

#include <vector>

namespace lmp_uq {

// (6, n_features) -d(features summed over all atoms)/dstrain, xx yy zz xy xz yz, or (n_features) their trace, of the graph last evaluated.
// What is kept of the step stays. Collective.
std::vector<double> virial_rows(MPI_Comm world, Evaluator &evaluator, const uq_graph &graph, int n_features, bool trace);

}    // namespace lmp_uq
#endif
