// SPDX-License-Identifier: GPL-2.0-or-later
#include "ghost_comm.h"

#include "guard.h"
#include "loaded_model.h"

#include "lammps/comm.h"
#include "lammps/fmt/format.h"
#include "lammps/force.h"
#include "lammps/pair.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <utility>

using lmp_uq::GhostComm;

// row -= shift * unit, of the numbers that these doubles hold
template <class T> static void subtract(double *row, const double *unit, double shift, std::size_t width)
{
  constexpr std::size_t n = sizeof(double) / sizeof(T);
  for (std::size_t k = 0; k < width; k++) {
    T left[n], right[n];
    std::memcpy(left, row + k, sizeof(double));
    std::memcpy(right, unit + k, sizeof(double));
    for (std::size_t i = 0; i < n; i++) left[i] -= static_cast<T>(shift) * right[i];
    std::memcpy(row + k, left, sizeof(double));
  }
}

void GhostComm::guarded(const std::function<void()> &work)
{
  pending_ = nullptr;
  plain_reverse();    // where an error of LAMMPS has ended the work before
  lmp_uq::guarded(lmp, PAIR_STYLE, [&] {
    try {
      work();
    } catch (...) {
      if (pending_) std::rethrow_exception(pending_);
      throw;
    }
  });
}

void GhostComm::make_room(int forward, int reverse)
{
  pair_.comm_forward = forward;
  pair_.comm_reverse = reverse;
  // of pair style hybrid, which has asked its styles when they were named
  force->pair->comm_forward = std::max(force->pair->comm_forward, forward);
  force->pair->comm_reverse = std::max(force->pair->comm_reverse, reverse);
}

void GhostComm::serve(uq_graph &view)
{
  view.exchange = {this, [](void *self, const GhostRows *rows) { return static_cast<GhostComm *>(self)->exchange(*rows, true); },
                   [](void *self, const GhostRows *rows) { return static_cast<GhostComm *>(self)->exchange(*rows, false); }};
}

void GhostComm::send_out(double *rows, int width)
{
  uq_array array = {rows, width};
  if (exchange(uq_rows_of(&array), true)) std::rethrow_exception(pending_);
}

void GhostComm::send_home(double *rows, int width)
{
  uq_array array = {rows, width};
  if (exchange(uq_rows_of(&array), false)) std::rethrow_exception(pending_);
  const std::size_t n_own = graph_.n_local(), n_ghosts = graph_.n_nodes() - n_own;
  std::fill_n(rows + n_own * width, n_ghosts * width, 0.0);
}

int GhostComm::exchange(const GhostRows &rows, bool forward)
{
  const auto watch = clock_.watch(StepClock::EXCHANGE);
  try {
    if (!forward && reverse_ != PLAIN) keep_or_shift(rows);
    rows_ = rows;
    if (configuration_.reordered())
      exchange_by_id(forward);
    else if (rows.width > (forward ? pair_.comm_forward : pair_.comm_reverse))
      throw std::length_error(fmt::format("a row of {} numbers to exchange, LAMMPS has room for {}", rows.width,
                                          forward ? pair_.comm_forward : pair_.comm_reverse));
    else if (forward)
      comm->forward_comm(&pair_, rows.width);
    else
      comm->reverse_comm(&pair_, rows.width);
    return 0;
  } catch (...) {
    pending_ = std::current_exception();
    return 1;
  }
}

void GhostComm::keep_reverse()
{
  kept_.clear();
  reverse_ = KEEP;
}

void GhostComm::shift_reverse(std::vector<double> shifts)
{
  shifts_ = std::move(shifts);
  next_kept_ = 0;
  reverse_ = SHIFT;
}

void GhostComm::plain_reverse()
{
  kept_.clear();
  reverse_ = PLAIN;
}

// before anything travels: a ghost's own row, without what further ghosts will leave there on their way home
void GhostComm::keep_or_shift(const GhostRows &rows)
{
  const std::size_t n_ghosts = graph_.n_nodes() - graph_.n_local(), width = rows.width;
  if (reverse_ == KEEP) {
    kept_.emplace_back(n_ghosts * width);
    rows.pack(rows.holder, n_ghosts, ghost_nodes(), kept_.back().data());
    return;
  }
  std::vector<double> &unit = kept_.at(next_kept_++), row(n_ghosts * width);
  rows.pack(rows.holder, n_ghosts, ghost_nodes(), row.data());
  for (std::size_t ghost = 0; ghost < n_ghosts; ghost++) {
    double *to = row.data() + ghost * width;
    const double *from = unit.data() + ghost * width;
    if (rows.single)
      subtract<float>(to, from, shifts_[ghost], width);
    else
      subtract<double>(to, from, shifts_[ghost], width);
  }
  rows.unpack(rows.holder, graph_.n_local(), n_ghosts, row.data());
}

// between the atoms whose forces were computed, wherever LAMMPS has them now
void GhostComm::exchange_by_id(bool forward)
{
  const AtomRoutes &ghosts = configuration_.ghosts();
  const GhostRows &rows = rows_;
  const auto get = [&](int node, double *row) { rows.pack(rows.holder, 1, &node, row); };
  const int n_own = graph_.n_local();
  if (forward)
    ghosts.fetch(rows.width, get, [&](int ghost, const double *row) { rows.unpack(rows.holder, n_own + ghost, 1, row); });
  else
    ghosts.gather(
        rows.width, [&](int ghost, double *row) { get(n_own + ghost, row); },
        [&](int i, const double *row) { rows.add(rows.holder, 1, &i, row); });
}

// nodes of the ghosts one after another
const int *GhostComm::ghost_nodes()
{
  ghost_nodes_.resize(graph_.n_nodes() - graph_.n_local() + 1);
  std::iota(ghost_nodes_.begin(), ghost_nodes_.end(), graph_.n_local());
  return ghost_nodes_.data();
}

int GhostComm::pack_forward(int n, const int *atoms, double *out) const
{
  rows_.pack(rows_.holder, n, atoms, out);
  return n * rows_.width;
}

void GhostComm::unpack_forward(int n, int first, const double *in) const { rows_.unpack(rows_.holder, first, n, in); }

int GhostComm::pack_reverse(int n, int first, double *out)
{
  rows_.pack(rows_.holder, n, ghost_nodes() + first - graph_.n_local(), out);
  return n * rows_.width;
}

void GhostComm::unpack_reverse(int n, const int *atoms, const double *in) const { rows_.add(rows_.holder, n, atoms, in); }
