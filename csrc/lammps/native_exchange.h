// SPDX-License-Identifier: GPL-2.0-or-later
// The ghost exchange of a graph, as csrc/mace/cpu asks for it.
#ifndef LMP_UQ_NATIVE_EXCHANGE_H
#define LMP_UQ_NATIVE_EXCHANGE_H

#include "bridge.h"
#include "mace/cpu/engine.h"

namespace lmp_uq {

// the engine's rows in the words of bridge.h
inline uq_rows rows_of(const GhostRows &rows) { return {rows.holder, rows.width, rows.get, rows.put, rows.add}; }

inline GhostExchange exchange_of(const uq_graph &graph)
{
  GhostExchange out;
  out.context = const_cast<uq_graph *>(&graph);
  out.shifts = graph.shifts;
  out.forward = [](void *context, double *buffer, int width) {
    const auto &of = *static_cast<const uq_graph *>(context);
    return of.forward(of.context, buffer, width);
  };
  out.reverse = [](void *context, double *buffer, int width) {
    const auto &of = *static_cast<const uq_graph *>(context);
    return of.reverse(of.context, buffer, width);
  };
  out.forward_rows = [](void *context, const GhostRows &rows) {
    const auto &of = *static_cast<const uq_graph *>(context);
    const uq_rows view = rows_of(rows);
    return of.forward_rows(of.context, &view);
  };
  out.reverse_rows = [](void *context, const GhostRows &rows) {
    const auto &of = *static_cast<const uq_graph *>(context);
    const uq_rows view = rows_of(rows);
    return of.reverse_rows(of.context, &view);
  };
  return out;
}

}    // namespace lmp_uq
#endif
