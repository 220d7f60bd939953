// SPDX-License-Identifier: GPL-2.0-or-later
// What each rank has, put together over all ranks. Collective: every rank calls, also one without atoms, and has the result.
#ifndef LMP_UQ_OVER_RANKS_H
#define LMP_UQ_OVER_RANKS_H

#include <mpi.h>

#include <array>
#include <cstdint>
#include <vector>

namespace lmp_uq {

inline MPI_Datatype mpi_type(int) { return MPI_INT; }
inline MPI_Datatype mpi_type(std::int64_t) { return MPI_INT64_T; }
inline MPI_Datatype mpi_type(double) { return MPI_DOUBLE; }

// a list of numbers, place by place; as long on every rank
template <class List> List reduced_over_ranks(MPI_Comm world, const List &of_this_rank, MPI_Op operation)
{
  List of_all_ranks(of_this_rank);
  const auto type = mpi_type(typename List::value_type());
  MPI_Allreduce(of_this_rank.data(), of_all_ranks.data(), static_cast<int>(of_this_rank.size()), type, operation, world);
  return of_all_ranks;
}

template <class T> std::vector<T> sum_over_ranks(MPI_Comm world, const std::vector<T> &list)
{
  return reduced_over_ranks(world, list, MPI_SUM);
}
template <class T, std::size_t N> std::array<T, N> sum_over_ranks(MPI_Comm world, const std::array<T, N> &list)
{
  return reduced_over_ranks(world, list, MPI_SUM);
}
template <class T, std::size_t N> std::array<T, N> max_over_ranks(MPI_Comm world, const std::array<T, N> &list)
{
  return reduced_over_ranks(world, list, MPI_MAX);
}

template <class T> T sum_over_ranks(MPI_Comm world, T number) { return reduced_over_ranks(world, std::array<T, 1>{number}, MPI_SUM)[0]; }
template <class T> T max_over_ranks(MPI_Comm world, T number) { return reduced_over_ranks(world, std::array<T, 1>{number}, MPI_MAX)[0]; }
template <class T> T min_over_ranks(MPI_Comm world, T number) { return reduced_over_ranks(world, std::array<T, 1>{number}, MPI_MIN)[0]; }

inline bool on_any_rank(MPI_Comm world, bool here) { return max_over_ranks<int>(world, here); }
inline bool on_every_rank(MPI_Comm world, bool here) { return min_over_ranks<int>(world, here); }

}    // namespace lmp_uq
#endif
