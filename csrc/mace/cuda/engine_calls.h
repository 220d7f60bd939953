/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine of another shared object, in C: what it takes and gives is said in mace/cpu/engine.h. */
#ifndef LMP_UQ_ENGINE_CALLS_H
#define LMP_UQ_ENGINE_CALLS_H

#include "mace/ghost_exchange.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uq_tensor {
  const char *name;
  int dtype;                 /* number of a lmp_uq::DType */
  int n_axes;
  const size_t *shape;
  const void *data;          /* valid as long as the engine */
} uq_tensor;

typedef struct uq_engine_options {
  int device, single_precision, threads;
  double table_tolerance;
} uq_engine_options;

typedef struct uq_atom_graph {
  int n_local, n_nodes;
  const int64_t *species;
  int64_t n_edges;
  const int64_t *centres, *neighbours;
  const double *vectors;
} uq_atom_graph;

typedef struct uq_error {
  char text[1024];
} uq_error;

/* An engine and the state of an evaluation are pointers. Calls that can fail return 0, or another number and a sentence in `error`. */
typedef struct uq_engine_calls {
  int (*make)(const char *architecture, size_t n_tensors, const uq_tensor *tensors, const uq_engine_options *options, void **engine, uq_error *error);
  void (*free)(void *engine);
  int (*prepare)(void *engine, int n, const int *elements, uq_error *error);
  double (*table_bytes_of)(void *engine, int n, const int *elements);
  size_t (*table_bytes)(void *engine);
  size_t (*n_bytes)(void *engine);
  int (*exchange_width)(void *engine, int n_sets);
  int (*evaluate)(void *engine, const uq_atom_graph *graph, const uq_ghost_exchange *exchange, int keep, double *energies, double *descriptors,
                  void **state, uq_error *error);
  int (*pull)(void *engine, const void *state, const uq_ghost_exchange *exchange, int n_sets, const double *energy_weights,
              const double *descriptor_weights, double *gradients, uq_error *error);
  size_t (*state_bytes)(const void *state);
  void (*free_state)(void *state);
} uq_engine_calls;

#ifdef __cplusplus
}
#endif
#endif
