// SPDX-License-Identifier: GPL-2.0-or-later
#include "node_tables.h"

#include "bridge.h"
#include "over_ranks.h"

#include "lammps/fmt/format.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace {

constexpr char SWITCH[] = "LMP_UQ_SHARED_TABLES", LIMIT[] = "LMP_UQ_TABLES_MB", SHARED_MEMORY[] = "/dev/shm";
constexpr double MB = 1e6;

// bytes that this node could still give, at most what the environment allows; below 0: not known
double memory_left()
{
  double left = -1.0;
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word)
    if (word == "MemAvailable:") {
      double kilobytes = 0.0;
      if (file >> kilobytes) left = 1024.0 * kilobytes;
      break;
    }
  const char *limit = std::getenv(LIMIT);
  const double allowed = limit ? MB * std::atof(limit) : 0.0;
  return allowed > 0.0 && (left < 0.0 || allowed < left) ? allowed : left;
}

// a window lies there on Linux, and what has no room there ends the process when it is written
bool has_room(std::size_t n_bytes)
{
  struct statvfs status = {};
  return statvfs(SHARED_MEMORY, &status) != 0 || static_cast<double>(status.f_bavail) * status.f_frsize > static_cast<double>(n_bytes);
}

}    // namespace

lmp_uq::NodeTables::NodeTables(MPI_Comm world, std::size_t n_elements) : n_elements_(n_elements)
{
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node_);
  MPI_Comm_set_errhandler(node_, MPI_ERRORS_RETURN);    // a window that cannot be made is no reason to end
  MPI_Comm_rank(node_, &rank_);
  MPI_Comm_size(node_, &n_ranks_);
}

// LAMMPS or Python may have ended MPI before the last object goes
lmp_uq::NodeTables::~NodeTables()
{
  int ended = 0;
  MPI_Finalized(&ended);
  if (ended) return;
  for (MPI_Win &window : windows_) {
    MPI_Win_unlock_all(window);
    MPI_Win_free(&window);
  }
  MPI_Comm_free(&node_);
}

void lmp_uq::NodeTables::add_up(std::vector<std::int64_t> &numbers)
{
  if (shares_) numbers = sum_over_ranks(node_, numbers);
}

void lmp_uq::NodeTables::agree(const std::string &failure)
{
  const int first = min_over_ranks(node_, failure.empty() ? n_ranks_ : rank_);
  if (first == n_ranks_) return;
  std::vector<char> text(UQ_MESSAGE_LENGTH, '\0');
  std::copy_n(failure.data(), std::min<std::size_t>(failure.size(), UQ_MESSAGE_LENGTH - 1), text.data());
  MPI_Bcast(text.data(), UQ_MESSAGE_LENGTH, MPI_CHAR, first, node_);
  throw std::runtime_error(text.data());
}

// why a window is not even tried, the same on all ranks; empty: it may be
std::string lmp_uq::NodeTables::obstacle(std::size_t n_bytes) const
{
  const char *word = std::getenv(SWITCH);
  if (on_any_rank(node_, word && std::strcmp(word, "no") == 0)) return fmt::format("{} is no", SWITCH);
  if (on_any_rank(node_, !has_room(n_bytes))) return fmt::format("{} has no {:.0f} MB left", SHARED_MEMORY, n_bytes / MB);
  return "";
}

unsigned char *lmp_uq::NodeTables::allocate(std::size_t n_bytes)
{
  if (!shares_ || n_ranks_ == 1) return own_.allocate(n_bytes);
  const std::string why = obstacle(n_bytes);
  unsigned char *memory = why.empty() ? window(n_bytes) : nullptr;
  if (memory) return memory;
  why_private_ = why.empty() ? "MPI makes no shared window" : why;
  shares_ = false;
  require_room(static_cast<double>(n_bytes));    // of as many copies
  return nullptr;
}

void lmp_uq::NodeTables::keep_apart(const std::string &why)
{
  if (n_ranks_ == 1) return;
  why_private_ = why;
  shares_ = false;
}

// The first rank gives all the memory. nullptr, on all ranks: there is no such window, or it begins elsewhere between two vectors.
unsigned char *lmp_uq::NodeTables::window(std::size_t n_bytes)
{
  constexpr std::size_t ALIGNED = 64;
  void *here = nullptr, *first = nullptr;
  MPI_Win window = MPI_WIN_NULL;
  const MPI_Aint share = rank_ == 0 ? static_cast<MPI_Aint>(n_bytes + ALIGNED) : 0;
  const bool made = MPI_Win_allocate_shared(share, 1, MPI_INFO_NULL, node_, &here, &window) == MPI_SUCCESS;
  if (!on_every_rank(node_, made)) return nullptr;
  windows_.push_back(window);
  MPI_Aint size = 0;
  int unit = 0;
  MPI_Win_shared_query(window, 0, &size, &unit, &first);
  MPI_Win_lock_all(MPI_MODE_NOCHECK, window);
  int shift = static_cast<int>((ALIGNED - reinterpret_cast<std::uintptr_t>(first) % ALIGNED) % ALIGNED);
  MPI_Bcast(&shift, 1, MPI_INT, 0, node_);
  unsigned char *memory = static_cast<unsigned char *>(first) + shift;
  return on_every_rank(node_, reinterpret_cast<std::uintptr_t>(memory) % ALIGNED == 0) ? memory : nullptr;
}

void lmp_uq::NodeTables::barrier()
{
  if (!shares_ || n_ranks_ == 1) return;
  MPI_Win_sync(windows_.back());
  MPI_Barrier(node_);
  MPI_Win_sync(windows_.back());
}

void lmp_uq::NodeTables::require_room(double n_bytes) const
{
  const int copies = n_ranks_ / n_ranks();
  const double needed = n_bytes * copies, left = min_over_ranks(node_, memory_left());
  if (left < 0.0 || needed < left) return;
  throw std::runtime_error(fmt::format("radial tables of {} elements need about {:.0f} MB{}, and this node has {:.0f} MB of memory left; name fewer "
                                       "elements in pair_coeff, NULL for types that take no part",
                                       n_elements_, needed / MB, copies > 1 ? fmt::format(" for its {} ranks", copies) : "", left / MB));
}

std::string lmp_uq::NodeTables::summary(std::size_t n_bytes) const
{
  std::string copies;
  if (n_ranks() > 1) copies = fmt::format(", one copy for {} ranks of a node", n_ranks());
  if (!why_private_.empty()) copies = fmt::format(" on each rank, because {}", why_private_);
  return fmt::format("radial tables of {} element{}: {:.1f} MB{}", n_elements_, n_elements_ == 1 ? "" : "s", n_bytes / MB, copies);
}
