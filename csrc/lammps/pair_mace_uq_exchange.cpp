// SPDX-License-Identifier: GPL-2.0-or-later
// PairMaceUq: rows of ghosts, from their owners and back.
#include "pair_mace_uq.h"

#include "pair_mace_uq_impl.h"

#include "lammps/comm.h"

#include <algorithm>

using namespace LAMMPS_NS;
using lmp_uq::StepClock;

namespace {

// rows of an array (n_nodes, width)
struct Buffer {
  double *data;
  int width;

  static double *at(void *holder, int node, int first)
  {
    const Buffer &self = *static_cast<const Buffer *>(holder);
    return self.data + static_cast<std::size_t>(node) * self.width + first;
  }
  static void get(void *holder, int node, int first, int n, double *out) { std::copy_n(at(holder, node, first), n, out); }
  static void put(void *holder, int node, int first, int n, const double *in) { std::copy_n(in, n, at(holder, node, first)); }
  static void add(void *holder, int node, int first, int n, const double *in)
  {
    double *row = at(holder, node, first);
    for (int k = 0; k < n; k++) row[k] += in[k];
  }
  uq_rows view() { return {this, width, get, put, add}; }
};

}    // namespace

int PairMaceUq::forward_callback(void *self, double *buffer, int width)
{
  return static_cast<PairMaceUq *>(self)->exchange(buffer, width, true);
}

int PairMaceUq::reverse_callback(void *self, double *buffer, int width)
{
  return static_cast<PairMaceUq *>(self)->exchange(buffer, width, false);
}

int PairMaceUq::forward_rows_callback(void *self, const uq_rows *rows) { return static_cast<PairMaceUq *>(self)->exchange(*rows, true); }

int PairMaceUq::reverse_rows_callback(void *self, const uq_rows *rows) { return static_cast<PairMaceUq *>(self)->exchange(*rows, false); }

// rows of an array (n_nodes, width); reverse leaves zeros in those of ghosts
int PairMaceUq::exchange(double *buffer, int width, bool forward)
{
  const int failed = exchange(Buffer{buffer, width}.view(), forward);
  const std::size_t n_own = impl->graph.n_local(), n_ghosts = impl->graph.n_nodes() - n_own;
  if (!forward && !failed) std::fill_n(buffer + n_own * width, n_ghosts * width, 0.0);
  return failed;
}

int PairMaceUq::exchange(const uq_rows &rows, bool forward)
{
  const auto watch = impl->clock.watch(StepClock::EXCHANGE);
  try {
    impl->rows = rows;
    for (impl->first_column = 0; impl->first_column < rows.width; impl->first_column += Impl::CHUNK) {
      impl->n_columns = MIN(Impl::CHUNK, rows.width - impl->first_column);
      if (impl->reordered)
        exchange_by_id(forward);
      else if (forward)
        comm->forward_comm(this, impl->n_columns);
      else
        comm->reverse_comm(this, impl->n_columns);
    }
    return 0;
  } catch (...) {
    impl->pending = std::current_exception();
    return 1;
  }
}

// between the atoms whose forces were computed, wherever LAMMPS has them now
void PairMaceUq::exchange_by_id(bool forward)
{
  const lmp_uq::AtomRoutes &ghosts = impl->configuration.ghosts();
  const uq_rows &rows = impl->rows;
  const int n_own = impl->graph.n_local(), first = impl->first_column, n = impl->n_columns;
  if (forward)
    ghosts.fetch(
        n, [&](int i, double *row) { rows.get(rows.holder, i, first, n, row); },
        [&](int ghost, const double *row) { rows.put(rows.holder, n_own + ghost, first, n, row); });
  else
    ghosts.gather(
        n, [&](int ghost, double *row) { rows.get(rows.holder, n_own + ghost, first, n, row); },
        [&](int i, const double *row) { rows.add(rows.holder, i, first, n, row); });
}

int PairMaceUq::pack_forward_comm(int n, int *atoms, double *out, int, int *)
{
  for (int i = 0; i < n; i++, out += impl->n_columns) impl->rows.get(impl->rows.holder, atoms[i], impl->first_column, impl->n_columns, out);
  return n * impl->n_columns;
}

void PairMaceUq::unpack_forward_comm(int n, int first, double *in)
{
  for (int i = first; i < first + n; i++, in += impl->n_columns)
    impl->rows.put(impl->rows.holder, i, impl->first_column, impl->n_columns, in);
}

int PairMaceUq::pack_reverse_comm(int n, int first, double *out)
{
  for (int i = first; i < first + n; i++, out += impl->n_columns)
    impl->rows.get(impl->rows.holder, i, impl->first_column, impl->n_columns, out);
  return n * impl->n_columns;
}

void PairMaceUq::unpack_reverse_comm(int n, int *atoms, double *in)
{
  for (int i = 0; i < n; i++, in += impl->n_columns) impl->rows.add(impl->rows.holder, atoms[i], impl->first_column, impl->n_columns, in);
}
