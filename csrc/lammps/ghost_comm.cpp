// SPDX-License-Identifier: GPL-2.0-or-later
#include "ghost_comm.h"

#include "base/bytes.h"
#include "guard.h"
#include "loaded_model.h"

#include "lammps/atom.h"
#include "lammps/comm.h"
#include "lammps/fmt/format.h"
#include "lammps/force.h"
#include "lammps/pair.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

using lmp_uq::GhostComm;

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
  if (nothing_to_exchange()) return;
  view.exchange = {this, [](void *self, const GhostRows *rows) { return static_cast<GhostComm *>(self)->exchange(*rows, true); },
                   [](void *self, const GhostRows *rows) { return static_cast<GhostComm *>(self)->exchange(*rows, false); }, nullptr};
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
  if (nothing_to_exchange()) return 0;
  const auto watch = clock_.watch(StepClock::EXCHANGE);
  try {
    rows_ = rows;
    clock_.n_exchanges++;
    if (comm->nprocs == 1)
      exchange_here(forward);
    else if (configuration_.reordered() || !planned_)
      exchange_by_id(forward);
    else
      exchange_by_lammps(rows.width, forward);
    return 0;
  } catch (...) {
    pending_ = std::current_exception();
    return 1;
  }
}

void GhostComm::exchange_by_lammps(int width, bool forward)
{
  const int room = forward ? pair_.comm_forward : pair_.comm_reverse;
  if (width > room) throw std::length_error(fmt::format("a row of {} numbers to exchange, LAMMPS has room for {}", width, room));
  if (forward)
    comm->forward_comm(&pair_, width);
  else
    comm->reverse_comm(&pair_, width);
}

// on the only rank, whose ghosts are images of its own atoms
void GhostComm::exchange_here(bool forward)
{
  const int n_own = graph_.n_local(), n_ghosts = graph_.nodes().n_ghosts();
  std::vector<double> message(static_cast<std::size_t>(n_ghosts) * rows_.width + 1);
  packed(n_ghosts, forward ? owner_nodes_.data() : ghost_nodes_.data(), message.data());
  if (forward)
    rows_.unpack(rows_.holder, n_own, n_ghosts, message.data());
  else
    rows_.add(rows_.holder, n_ghosts, owner_nodes_.data(), message.data());
}

// where images are read from their owners
bool GhostComm::nothing_to_exchange() const { return comm->nprocs == 1 && graph_.nodes().n_ghosts() == 0; }

// First every ghost learns whose it is; then every list of atoms to send learns which of them are a node where they arrive.
void GhostComm::plan(const std::vector<char> &takes_part, bool keep_images, Nodes &nodes)
{
  const auto watch = clock_.watch(StepClock::EXCHANGE);
  const int n_local = atom->nlocal;
  owners_.assign(2 * takes_part.size() + 2, comm->me);
  for (int i = 0; i < n_local; i++) owners_[2 * i + 1] = i;
  content_ = OWNERS;
  exchange_by_lammps(2, true);
  nodes.make(n_local, takes_part, owners_.data() + 2 * n_local, comm->me, keep_images);
  ghost_nodes_.resize(nodes.n_ghosts() + 1);
  std::iota(ghost_nodes_.begin(), ghost_nodes_.end(), nodes.n_own());
  owner_nodes_.clear();
  for (int k = nodes.n_own(); comm->nprocs == 1 && k < nodes.n(); k++)
    owner_nodes_.push_back(nodes.of_atom(static_cast<int>(owners_[2 * static_cast<std::size_t>(nodes.atom(k)) + 1])));
  sent_.clear();
  content_ = WISHES;
  if (comm->nprocs > 1) exchange_by_lammps(1, false);
  content_ = ROWS;
  planned_ = true;
}

// between the nodes whose forces were computed, wherever LAMMPS has their atoms now
void GhostComm::exchange_by_id(bool forward)
{
  const GhostRows &rows = rows_;
  const auto get = [&](int node, double *row) { rows.pack(rows.holder, 1, &node, row); };
  const int n_own = graph_.n_local();
  if (forward)
    routes().fetch(rows.width, get, [&](int ghost, const double *row) { rows.unpack(rows.holder, n_own + ghost, 1, row); });
  else
    routes().gather(
        rows.width, [&](int ghost, double *row) { get(n_own + ghost, row); },
        [&](int node, const double *row) { rows.add(rows.holder, 1, &node, row); });
}

const lmp_uq::AtomRoutes &GhostComm::routes()
{
  if (!routes_) {
    const Nodes &nodes = graph_.nodes();
    std::vector<LAMMPS_NS::tagint> tags;
    for (int k = 0; k < nodes.n(); k++) tags.push_back(configuration_.tag(nodes.atom(k)));
    routes_ = std::make_unique<AtomRoutes>(world, tags.data(), nodes.n_own(), tags.data() + nodes.n_own(), nodes.n_ghosts());
  }
  return *routes_;
}

std::size_t GhostComm::n_bytes() const
{
  std::size_t bytes = bytes_of(owners_, ghost_nodes_, owner_nodes_);
  for (const auto &list : sent_) bytes += bytes_of(list.second);
  return bytes;
}

/* ---- messages of LAMMPS' communication --------------------------------------------------------------------------------------- */

int GhostComm::pack_forward(int n, const int *atoms, double *out) const
{
  if (content_ == OWNERS) {
    for (int i = 0; i < n; i++) std::copy_n(owners_.data() + 2 * static_cast<std::size_t>(atoms[i]), 2, out + 2 * i);
    return 2 * n;
  }
  if (n == 0) return 0;
  const std::vector<int> &nodes = sent_.at(atoms);
  return packed(static_cast<int>(nodes.size()), nodes.data(), out);
}

// a message, and its length
int GhostComm::packed(int n, const int *nodes, double *out) const
{
  rows_.pack(rows_.holder, n, nodes, out);
  clock_.bytes += static_cast<double>(n) * rows_.width * sizeof(double);
  return n * rows_.width;
}

void GhostComm::unpack_forward(int n, int first, const double *in)
{
  const Nodes &nodes = graph_.nodes();
  if (content_ == OWNERS)
    std::copy_n(in, 2 * n, owners_.data() + 2 * static_cast<std::size_t>(first));
  else
    rows_.unpack(rows_.holder, nodes.first_ghost(first), nodes.n_ghosts(first, n), in);
}

int GhostComm::pack_reverse(int n, int first, double *out) const
{
  const Nodes &nodes = graph_.nodes();
  if (content_ == WISHES) {
    for (int i = 0; i < n; i++) out[i] = nodes.is_own_ghost(first + i);
    return n;
  }
  return packed(nodes.n_ghosts(first, n), ghost_nodes_.data() + nodes.first_ghost(first) - nodes.n_own(), out);
}

void GhostComm::unpack_reverse(int n, const int *atoms, const double *in)
{
  if (content_ == WISHES) {
    std::vector<int> &nodes = sent_[atoms];
    for (int i = 0; i < n; i++)
      if (in[i] != 0.0) nodes.push_back(graph_.nodes().of_atom(atoms[i]));
    if (std::count(nodes.begin(), nodes.end(), -1))
      throw std::runtime_error("an atom takes part on one rank and not on the one that owns it");
  } else if (n > 0) {
    const std::vector<int> &nodes = sent_.at(atoms);
    rows_.add(rows_.holder, static_cast<int>(nodes.size()), nodes.data(), in);
  }
}
