// SPDX-License-Identifier: GPL-2.0-or-later
// PairMaceUq: memory of a rank, for LAMMPS' line before a run.
#include "pair_mace_uq.h"

#include "base/bytes.h"
#include "pair_mace_uq_impl.h"

using namespace LAMMPS_NS;

double PairMaceUq::memory_usage()
{
  const Impl &held = *impl;
  std::size_t bytes = held.graph.n_bytes() + held.configuration.n_bytes() + lmp_uq::bytes_of(
      held.energies, held.edge_gradients, held.forces, held.force_norm, held.member_forces, held.member_virials);
  for (const auto &column : held.columns) bytes += lmp_uq::bytes_of(column);
  double total = Pair::memory_usage() + static_cast<double>(bytes);
  if (held.evaluator) guarded([&] { total += held.evaluator->memory_usage(); });
  return total;
}
