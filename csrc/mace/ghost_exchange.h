/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of ghosts, from their owners and back: what a model asks inside of its passes of whoever holds the atoms. In C, because the bridge
   into Python sees it too. */
#ifndef LMP_UQ_GHOST_EXCHANGE_H
#define LMP_UQ_GHOST_EXCHANGE_H

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A row of each node, wherever it lies. In a message it is `width` doubles, copied as bits: only the holder knows what they mean. */
typedef struct uq_ghost_rows {
  void *holder;
  int width;
  int single;    /* 1: each of the doubles is two float32 numbers */
  void (*pack)(void *holder, int n, const int *nodes, double *out);      /* out (n, width): the rows of these nodes */
  void (*unpack)(void *holder, int first, int n, const double *in);      /* into the rows of the nodes first .. first+n */
  void (*add)(void *holder, int n, const int *nodes, const double *in);  /* to the rows of these nodes, of which some may be the same */
} uq_ghost_rows;

/* Nodes are local atoms followed by ghosts. Either call returns 0, or another number where the exchange failed. Every rank makes the same
   calls with the same widths, also a rank without atoms. */
typedef struct uq_ghost_exchange {
  void *context;
  int (*forward)(void *context, const uq_ghost_rows *rows);    /* ghosts' rows become their owners'; NULL: there is nothing to exchange */
  int (*reverse)(void *context, const uq_ghost_rows *rows);    /* owners' rows gain their ghosts', which stay as they are */
  /* NULL, or (n_ghosts, 3) Angstrom of a pull of moments, whose sets are unit weights and the centres' x, y and z, in fours. A ghost's frame
     lies off its owner's by its shift, so of a moment it gives back less by the shift times what it gives back of the unit weights. */
  const double *shifts;
} uq_ghost_exchange;

/* rows that lie in an array (n_nodes, width) */
typedef struct uq_array {
  double *data;
  int width;
} uq_array;

static inline double *uq_array_row(void *holder, int node)
{
  return ((uq_array *) holder)->data + (size_t) node * (size_t) ((uq_array *) holder)->width;
}

static inline void uq_array_pack(void *holder, int n, const int *nodes, double *out)
{
  const size_t width = (size_t) ((uq_array *) holder)->width;
  for (int k = 0; k < n; k++) memcpy(out + (size_t) k * width, uq_array_row(holder, nodes[k]), width * sizeof(double));
}

static inline void uq_array_unpack(void *holder, int first, int n, const double *in)
{
  if (n > 0) memcpy(uq_array_row(holder, first), in, (size_t) n * (size_t) ((uq_array *) holder)->width * sizeof(double));
}

static inline void uq_array_add(void *holder, int n, const int *nodes, const double *in)
{
  const int width = ((uq_array *) holder)->width;
  for (int k = 0; k < n; k++, in += width) {
    double *row = uq_array_row(holder, nodes[k]);
    for (int c = 0; c < width; c++) row[c] += in[c];
  }
}

static inline uq_ghost_rows uq_rows_of(uq_array *array)
{
  const uq_ghost_rows rows = {array, array->width, 0, uq_array_pack, uq_array_unpack, uq_array_add};
  return rows;
}

#ifdef __cplusplus
}

namespace lmp_uq {
using GhostRows = uq_ghost_rows;
using GhostExchange = uq_ghost_exchange;
}    // namespace lmp_uq
#endif
#endif
