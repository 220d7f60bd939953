// SPDX-License-Identifier: GPL-2.0-or-later
#include "atom_routes.h"

#include <limits>
#include <stdexcept>
#include <unordered_map>

using lmp_uq::AtomRoutes;
using LAMMPS_NS::tagint;

namespace {

constexpr std::size_t MOST = std::numeric_limits<int>::max();    // MPI counts with 32 bits
constexpr char TOO_MUCH[] = "more than 2 GB of one rank to exchange with atoms that have changed their ranks since the last run: run 0 first";

// lists[p] goes to rank p; returns what all ranks sent here, rank by rank, and how many each
template <class T> std::vector<T> swap_lists(MPI_Comm world, const std::vector<std::vector<T>> &lists, std::vector<int> &n_received)
{
  const int n_ranks = static_cast<int>(lists.size());
  std::vector<int> n_sent(n_ranks), to(n_ranks + 1, 0), from(n_ranks + 1, 0);
  n_received.assign(n_ranks, 0);
  std::size_t all_sent = 0, all_received = 0;
  for (int p = 0; p < n_ranks; p++) {
    all_sent += lists[p].size() * sizeof(T);
    n_sent[p] = static_cast<int>(lists[p].size() * sizeof(T));
  }
  if (all_sent > MOST) throw std::length_error(TOO_MUCH);
  MPI_Alltoall(n_sent.data(), 1, MPI_INT, n_received.data(), 1, MPI_INT, world);
  for (const int n : n_received) all_received += n;
  if (all_received > MOST) throw std::length_error(TOO_MUCH);
  for (int p = 0; p < n_ranks; p++) {
    to[p + 1] = to[p] + n_sent[p];
    from[p + 1] = from[p] + n_received[p];
    n_received[p] /= static_cast<int>(sizeof(T));
  }
  std::vector<T> sent, received(from[n_ranks] / sizeof(T) + 1);
  for (const auto &list : lists) sent.insert(sent.end(), list.begin(), list.end());
  sent.emplace_back();    // never empty: a pointer is handed over
  std::vector<int> bytes_received(n_ranks);
  for (int p = 0; p < n_ranks; p++) bytes_received[p] = n_received[p] * static_cast<int>(sizeof(T));
  MPI_Alltoallv(sent.data(), n_sent.data(), to.data(), MPI_BYTE, received.data(), bytes_received.data(), from.data(), MPI_BYTE, world);
  received.pop_back();
  return received;
}

struct Place {
  tagint tag;
  int rank, index;
};

struct Question {
  tagint tag;
  int index;
};

}    // namespace

// A rank keeps the register of the IDs that leave its number when divided by that of all ranks: who holds an atom tells it, who asks for one
// asks it, and it passes the question on to the holder.
AtomRoutes::AtomRoutes(MPI_Comm world, const tagint *held, int n_held, const tagint *wanted, int n_wanted) : world_(world)
{
  int me = 0;
  MPI_Comm_rank(world, &me);
  MPI_Comm_size(world, &n_ranks_);
  std::vector<int> counts;
  std::vector<std::vector<Place>> told(n_ranks_);
  for (int i = 0; i < n_held; i++) told[held[i] % n_ranks_].push_back({held[i], me, i});
  std::unordered_map<tagint, Place> registered;
  for (const Place &place : swap_lists(world, told, counts)) registered[place.tag] = place;

  std::vector<std::vector<Question>> asked(n_ranks_);
  for (int i = 0; i < n_wanted; i++) asked[wanted[i] % n_ranks_].push_back({wanted[i], i});
  const std::vector<Question> questions = swap_lists(world, asked, counts);
  std::vector<std::vector<Place>> passed(n_ranks_), answers(n_ranks_);    // rank: of who asks, of who holds
  int missing = 0;
  for (std::size_t q = 0, p = 0, end = counts.empty() ? 0 : counts[0]; q < questions.size(); q++) {
    while (q >= end) end += counts[++p];
    const auto found = registered.find(questions[q].tag);
    if (found == registered.end()) {
      missing = 1;
      continue;
    }
    const Place &place = found->second;
    passed[place.rank].push_back({questions[q].tag, static_cast<int>(p), place.index});
    answers[p].push_back({questions[q].tag, place.rank, questions[q].index});
  }
  int any = 0;
  MPI_Allreduce(&missing, &any, 1, MPI_INT, MPI_MAX, world);
  found_all_ = !any;

  // registers answer in the order of ranks, so both sides list the rows between two ranks alike: by register, then as they were asked
  const auto by_rank = [&](const std::vector<Place> &places, std::vector<int> &indices, std::vector<int> &n) {
    std::vector<std::vector<int>> lists(n_ranks_);
    for (const Place &place : places) lists[place.rank].push_back(place.index);
    n.assign(n_ranks_, 0);
    for (int p = 0; p < n_ranks_; p++) {
      n[p] = static_cast<int>(lists[p].size());
      indices.insert(indices.end(), lists[p].begin(), lists[p].end());
    }
  };
  by_rank(swap_lists(world, passed, counts), held_, n_held_);
  by_rank(swap_lists(world, answers, counts), wanted_, n_wanted_);
}

void AtomRoutes::exchange(int width, const std::vector<int> &from, const std::vector<int> &n_from, const Get &get, const std::vector<int> &to,
                          const std::vector<int> &n_to, const Put &put) const
{
  std::vector<std::vector<double>> lists(n_ranks_);
  std::size_t next = 0;
  for (int p = 0; p < n_ranks_; p++) {
    lists[p].resize(static_cast<std::size_t>(n_from[p]) * width);
    for (int k = 0; k < n_from[p]; k++) get(from[next++], lists[p].data() + static_cast<std::size_t>(k) * width);
  }
  std::vector<int> counts;
  const std::vector<double> rows = swap_lists(world_, lists, counts);
  next = 0;
  for (int p = 0; p < n_ranks_; p++)
    for (int k = 0; k < n_to[p]; k++, next++) put(to[next], rows.data() + next * width);
}

void AtomRoutes::fetch(int width, const Get &get, const Put &put) const { exchange(width, held_, n_held_, get, wanted_, n_wanted_, put); }

void AtomRoutes::gather(int width, const Get &get, const Put &add) const { exchange(width, wanted_, n_wanted_, get, held_, n_held_, add); }
