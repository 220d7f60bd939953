/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine of the library of a device, in C: what it takes and gives is said in mace/engine.h. */
#ifndef LMP_UQ_ENGINE_CALLS_H
#define LMP_UQ_ENGINE_CALLS_H

#include "base/head_matrices.h"
#include "mace/ghost_exchange.h"
#include "mace/pull_weights.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lmp_uq_tensor {
  const char *name;
  int dtype;                 /* number of a lmp_uq::DType */
  int n_axes;
  const size_t *shape;
  const void *data;          /* valid as long as the engine */
};

struct lmp_uq_engine_options {
  int device, single_precision, threads;
  int n_sharing;             /* processes that use the device at the same time */
  double table_tolerance;
};

struct lmp_uq_atom_graph {
  int n_local, n_nodes;
  const int64_t *species;
  int64_t n_edges;
  const int64_t *centres, *neighbours;
  const double *vectors;
  int64_t list;              /* number of the neighbour list that the rest is of */
  int n_sites;
  const int *node_of_site, *site_of_node, *site_of_edge;
  const double *positions;
};

/* As lmp_uq::ForceColumns. */
struct lmp_uq_force_columns {
  const double *force, *grade, *neighbours, *correction;
};

/* Engine::Head. */
struct lmp_uq_head_calls {
  void *(*make)(void *engine, const struct lmp_uq_head_matrices *matrices, char *problem, int size);
  void (*free)(void *engine, void *head);
  size_t (*n_bytes)(const void *head);
  void (*energy_bars)(void *engine, void *head, const void *state, double *std, double *lower, double *upper, char *problem, int size);
  void (*grades)(void *engine, void *head, const void *state, double *grade, char *problem, int size);
  void (*force_values)(void *engine, void *head, size_t n, const struct lmp_uq_force_columns *variables, const void *formula /* lmp_uq::ForceFormula */,
                       double *values, char *problem, int size);
  void (*member_std)(void *engine, void *head, size_t n, int n_members, const double *forces, double *std, char *problem, int size);
  void (*feature_sum)(void *engine, void *head, const void *state, double *sum, char *problem, int size);
  void (*neighbour_means)(void *engine, void *head, const void *state, const double *values, double *means, char *problem, int size);
};

/* An engine and what is kept of an evaluation are pointers. What can fail has a text for the problem, as in library.h. */
struct lmp_uq_engine_calls {
  void *(*make)(const char *architecture, size_t n_tensors, const struct lmp_uq_tensor *tensors, const struct lmp_uq_engine_options *options,
                char *problem, int size);
  void (*free)(void *engine);
  void (*prepare)(void *engine, int n, const int *elements, char *problem, int size);
  double (*table_bytes_of)(void *engine, int n, const int *elements);
  size_t (*table_bytes)(void *engine);
  size_t (*n_bytes)(void *engine);
  int (*exchange_width)(void *engine, int n_sets);
  void *(*evaluate)(void *engine, const struct lmp_uq_atom_graph *graph, const uq_ghost_exchange *exchange, int keep, double *energies,
                    double *descriptors, char *problem, int size);
  void (*pull)(void *engine, const void *state, const uq_ghost_exchange *exchange, int n_sets,
               const struct lmp_uq_pull_weights *weights, double *gradients, double *forces, double *virials, char *problem, int size);
  size_t (*state_bytes)(const void *state);
  void (*descriptors)(void *engine, const void *state, double *out, char *problem, int size);
  void (*forget_derivatives)(void *state);
  void (*free_state)(void *engine, void *state);
  const struct lmp_uq_head_calls *head;
};

#ifdef __cplusplus
}
#endif
#endif
