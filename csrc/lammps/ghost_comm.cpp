// SPDX-License-Identifier: GPL-2.0-or-later
#include "ghost_comm.h"

#include "guard.h"
#include "loaded_model.h"

#include "lammps/comm.h"
#include "lammps/pair.h"

#include <algorithm>

using lmp_uq::GhostComm;

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

void GhostComm::guarded(const std::function<void()> &work)
{
  pending_ = nullptr;
  lmp_uq::guarded(lmp, PAIR_STYLE, [&] {
    try {
      work();
    } catch (...) {
      if (pending_) std::rethrow_exception(pending_);
      throw;
    }
  });
}

void GhostComm::serve(uq_graph &view)
{
  view.context = this;
  view.forward = [](void *self, double *buffer, int width) { return static_cast<GhostComm *>(self)->exchange(buffer, width, true); };
  view.reverse = [](void *self, double *buffer, int width) { return static_cast<GhostComm *>(self)->exchange(buffer, width, false); };
  view.forward_rows = [](void *self, const uq_rows *rows) { return static_cast<GhostComm *>(self)->exchange(*rows, true); };
  view.reverse_rows = [](void *self, const uq_rows *rows) { return static_cast<GhostComm *>(self)->exchange(*rows, false); };
}

void GhostComm::send_out(double *rows, int width)
{
  if (exchange(rows, width, true)) std::rethrow_exception(pending_);
}

void GhostComm::send_home(double *rows, int width)
{
  if (exchange(rows, width, false)) std::rethrow_exception(pending_);
}

// rows of an array (n_nodes, width); reverse leaves zeros in those of ghosts
int GhostComm::exchange(double *buffer, int width, bool forward)
{
  const int failed = exchange(Buffer{buffer, width}.view(), forward);
  const std::size_t n_own = graph_.n_local(), n_ghosts = graph_.n_nodes() - n_own;
  if (!forward && !failed) std::fill_n(buffer + n_own * width, n_ghosts * width, 0.0);
  return failed;
}

int GhostComm::exchange(const uq_rows &rows, bool forward)
{
  const auto watch = clock_.watch(StepClock::EXCHANGE);
  try {
    rows_ = rows;
    for (first_column_ = 0; first_column_ < rows.width; first_column_ += CHUNK) {
      n_columns_ = std::min<int>(CHUNK, rows.width - first_column_);
      if (configuration_.reordered())
        exchange_by_id(forward);
      else if (forward)
        comm->forward_comm(&pair_, n_columns_);
      else
        comm->reverse_comm(&pair_, n_columns_);
    }
    return 0;
  } catch (...) {
    pending_ = std::current_exception();
    return 1;
  }
}

// between the atoms whose forces were computed, wherever LAMMPS has them now
void GhostComm::exchange_by_id(bool forward)
{
  const AtomRoutes &ghosts = configuration_.ghosts();
  const uq_rows &rows = rows_;
  const int n_own = graph_.n_local(), first = first_column_, n = n_columns_;
  if (forward)
    ghosts.fetch(
        n, [&](int i, double *row) { rows.get(rows.holder, i, first, n, row); },
        [&](int ghost, const double *row) { rows.put(rows.holder, n_own + ghost, first, n, row); });
  else
    ghosts.gather(
        n, [&](int ghost, double *row) { rows.get(rows.holder, n_own + ghost, first, n, row); },
        [&](int i, const double *row) { rows.add(rows.holder, i, first, n, row); });
}

int GhostComm::pack_forward(int n, const int *atoms, double *out) const
{
  for (int i = 0; i < n; i++, out += n_columns_) rows_.get(rows_.holder, atoms[i], first_column_, n_columns_, out);
  return n * n_columns_;
}

void GhostComm::unpack_forward(int n, int first, const double *in) const
{
  for (int i = first; i < first + n; i++, in += n_columns_) rows_.put(rows_.holder, i, first_column_, n_columns_, in);
}

int GhostComm::pack_reverse(int n, int first, double *out) const
{
  for (int i = first; i < first + n; i++, out += n_columns_) rows_.get(rows_.holder, i, first_column_, n_columns_, out);
  return n * n_columns_;
}

void GhostComm::unpack_reverse(int n, const int *atoms, const double *in) const
{
  for (int i = 0; i < n; i++, in += n_columns_) rows_.add(rows_.holder, atoms[i], first_column_, n_columns_, in);
}
