// SPDX-License-Identifier: GPL-2.0-or-later
#include "node_tables.h"

#include "bridge.h"
#include "over_ranks.h"
#include "base/environment.h"

#include "lammps/fmt/format.h"

#include <sys/resource.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <stdexcept>

namespace {

constexpr char SWITCH[] = "LMP_UQ_SHARED_TABLES", LIMIT[] = "LMP_UQ_TABLES_MB", SHARED_MEMORY[] = "/dev/shm";
constexpr double MB = 1e6, UNLIMITED = std::numeric_limits<double>::infinity();
constexpr double OF_MPI = 2.0 * MB;    // of a window beside what is in it

// bytes that this node could still give; infinite: not known
double memory_left()
{
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word)
    if (word == "MemAvailable:") {
      double kilobytes = 0.0;
      if (file >> kilobytes) return 1024.0 * kilobytes;
      break;
    }
  return UNLIMITED;
}

// a window lies there on Linux, and what has no room there ends the process when it is written
bool has_room(double n_bytes)
{
  struct statvfs status = {};
  return statvfs(SHARED_MEMORY, &status) != 0 || static_cast<double>(status.f_bavail) * status.f_frsize > n_bytes;
}

// a window is a file, and one that grows beyond the limit of this process ends it
bool may_be_a_file(double n_bytes)
{
  struct rlimit limit = {};
  return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || static_cast<double>(limit.rlim_cur) > n_bytes;
}

}    // namespace

lmp_uq::TableWishes lmp_uq::TableWishes::of_environment()
{
  return {environment_word(SWITCH, {"yes", "no"}) != "no", MB * environment_positive(LIMIT, UNLIMITED)};
}

lmp_uq::NodeTables::NodeTables(MPI_Comm world, std::size_t n_elements, const TableWishes &wishes) : n_elements_(n_elements), wishes_(wishes)
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
  if (on_any_rank(node_, !wishes_.shared)) return fmt::format("{} is no", SWITCH);
  const double needed = static_cast<double>(n_bytes) + OF_MPI;
  if (on_any_rank(node_, !has_room(needed))) return fmt::format("{} has no {:.0f} MB left", SHARED_MEMORY, needed / MB);
  if (on_any_rank(node_, !may_be_a_file(needed))) return fmt::format("files are limited to less than {:.0f} MB (ulimit -f)", needed / MB);
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
  const double needed = n_bytes * copies, left = min_over_ranks(node_, std::min(memory_left(), wishes_.most_bytes));
  if (needed < left) return;
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
