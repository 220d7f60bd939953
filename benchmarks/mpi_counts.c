/* SPDX-License-Identifier: GPL-2.0-or-later */
/* To be preloaded (LD_PRELOAD) into an MPI program: counts what each rank sends between mpi_counts_reset() and mpi_counts_read(). */
#include <mpi.h>
#include <string.h>
#include <time.h>

enum { MESSAGES, BYTES, COLLECTIVES, CPU_SECONDS, N_COUNTS };    /* CPU_SECONDS: of this thread inside of MPI */
static double counts[N_COUNTS];

void mpi_counts_reset(void) { memset(counts, 0, sizeof(counts)); }
void mpi_counts_read(double *out) { memcpy(out, counts, sizeof(counts)); }

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void count_message(int n, MPI_Datatype type)
{
  int size = 0;
  PMPI_Type_size(type, &size);
  counts[MESSAGES] += 1;
  counts[BYTES] += (double) n * size;
}

#define TIMED(call) \
  do { \
    const double begin = now(); \
    const int code = call; \
    counts[CPU_SECONDS] += now() - begin; \
    return code; \
  } while (0)

#define COLLECTIVE(call) \
  do { \
    counts[COLLECTIVES] += 1; \
    TIMED(call); \
  } while (0)

#define SENDS(Name) \
  int MPI_##Name(const void *data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm) \
  { \
    count_message(n, type); \
    TIMED(PMPI_##Name(data, n, type, to, tag, comm)); \
  }
SENDS(Send)
SENDS(Ssend)
SENDS(Rsend)

int MPI_Isend(const void *data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request)
{
  count_message(n, type);
  TIMED(PMPI_Isend(data, n, type, to, tag, comm, request));
}
int MPI_Sendrecv(const void *out, int n_out, MPI_Datatype type_out, int to, int tag_out, void *in, int n_in, MPI_Datatype type_in, int from,
                 int tag_in, MPI_Comm comm, MPI_Status *status)
{
  count_message(n_out, type_out);
  TIMED(PMPI_Sendrecv(out, n_out, type_out, to, tag_out, in, n_in, type_in, from, tag_in, comm, status));
}
int MPI_Recv(void *data, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Status *status)
{
  TIMED(PMPI_Recv(data, n, type, from, tag, comm, status));
}
int MPI_Irecv(void *data, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request *request)
{
  TIMED(PMPI_Irecv(data, n, type, from, tag, comm, request));
}
int MPI_Wait(MPI_Request *request, MPI_Status *status) { TIMED(PMPI_Wait(request, status)); }
int MPI_Waitall(int n, MPI_Request *requests, MPI_Status *statuses) { TIMED(PMPI_Waitall(n, requests, statuses)); }
int MPI_Waitany(int n, MPI_Request *requests, int *which, MPI_Status *status) { TIMED(PMPI_Waitany(n, requests, which, status)); }

int MPI_Barrier(MPI_Comm comm) { COLLECTIVE(PMPI_Barrier(comm)); }
int MPI_Bcast(void *data, int n, MPI_Datatype type, int root, MPI_Comm comm) { COLLECTIVE(PMPI_Bcast(data, n, type, root, comm)); }
int MPI_Allreduce(const void *in, void *out, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
  COLLECTIVE(PMPI_Allreduce(in, out, n, type, op, comm));
}
int MPI_Reduce(const void *in, void *out, int n, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm)
{
  COLLECTIVE(PMPI_Reduce(in, out, n, type, op, root, comm));
}
int MPI_Scan(const void *in, void *out, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
  COLLECTIVE(PMPI_Scan(in, out, n, type, op, comm));
}
int MPI_Allgather(const void *in, int n, MPI_Datatype type, void *out, int n_out, MPI_Datatype type_out, MPI_Comm comm)
{
  COLLECTIVE(PMPI_Allgather(in, n, type, out, n_out, type_out, comm));
}
int MPI_Alltoall(const void *in, int n, MPI_Datatype type, void *out, int n_out, MPI_Datatype type_out, MPI_Comm comm)
{
  COLLECTIVE(PMPI_Alltoall(in, n, type, out, n_out, type_out, comm));
}
int MPI_Alltoallv(const void *in, const int *n, const int *at, MPI_Datatype type, void *out, const int *n_out, const int *at_out,
                  MPI_Datatype type_out, MPI_Comm comm)
{
  COLLECTIVE(PMPI_Alltoallv(in, n, at, type, out, n_out, at_out, type_out, comm));
}
int MPI_Gather(const void *in, int n, MPI_Datatype type, void *out, int n_out, MPI_Datatype type_out, int root, MPI_Comm comm)
{
  COLLECTIVE(PMPI_Gather(in, n, type, out, n_out, type_out, root, comm));
}
