/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The C border between the plugin (no Python headers) and the Cython bridge (no LAMMPS headers). Both include this file and nothing of each
   other. Raise UQ_BRIDGE_VERSION with every change: the plugin refuses a bridge of another version. */
#ifndef LMP_UQ_BRIDGE_H
#define LMP_UQ_BRIDGE_H

#include "mace/ghost_exchange.h"

#include <stddef.h>
#include <stdint.h>

#define UQ_BRIDGE_VERSION 13
#define UQ_MESSAGE_LENGTH 16384
#define UQ_MAX_THRESHOLDS 100    /* as the reader of model files allows */

#ifdef __cplusplus
extern "C" {
#endif

/* per-atom fields in the order of lmp_uq.run.engine.FIELDS, then quantities of the whole system in that of TOTALS; both as in fields.cpp */
enum {
  UQ_ENERGY_STD, UQ_ENERGY_LOWER, UQ_ENERGY_UPPER, UQ_FORCE_ERROR, UQ_GRADE, UQ_FORCE_ERROR_50, UQ_FORCE_ERROR_95,
  UQ_FORCE_STD, UQ_FORCE_STD_X, UQ_FORCE_STD_Y, UQ_FORCE_STD_Z, UQ_NEIGHBOUR_GRADE, UQ_ERROR_ABOVE, UQ_RELIABILITY,
  UQ_N_FIELDS,
  UQ_STRESS_STD = UQ_N_FIELDS, UQ_MEMBERS, UQ_ENERGY_ERROR, UQ_STRESS_ERROR, UQ_N_QUANTITIES
};

/* functions of the descriptors that descriptor_gradients knows */
enum { UQ_OF_CORRECTION, UQ_OF_GRADES, UQ_OF_STD };

/* keywords of pair_style mace/uq and where this rank sits */
typedef struct uq_settings {
  const char *device;      /* auto | cpu | cuda[:n] */
  const char *precision;   /* file | float32 | float64 */
  int members;             /* K of the bounds, at most the file's; 0 = all */
  int force_members;       /* K' of the force and stress bars, at most the file's; 0 = the engine's default */
  int threads;             /* of this rank */
  int conservative;        /* 1: calibrated bars with their conservative quantiles and factors */
  int learned;             /* 1: force_error from the learned quantile */
  int local_rank;          /* rank within the node: chooses the GPU */
} uq_settings;

/* the model file as one rank has read it */
typedef struct uq_model_source {
  const char *name, *path;     /* as the user wrote it; the file that it means */
  unsigned char *bytes;        /* (n_bytes), during the call only */
  size_t n_bytes;
  const char *sha256;          /* of the bytes */
} uq_model_source;

/* what the model file declares */
typedef struct uq_model_info {
  double cutoff;                      /* Angstrom */
  int n_features;                     /* length of a feature sum, bias columns included; 0 = no posterior */
  int n_members, n_force_members;     /* in use: K, K' */
  int has_readout;                    /* 1: as many members of a P-readout stand beside each of them */
  int width, pull_width;              /* doubles of a ghost's widest row: of a step, of the stacked pulls of members */
  double energy_factor;               /* energy_error / energy_std of the total; 0 = not calibrated, or of the mean grade */
  int energy_of_grade;                /* 1: energy_error is made of the mean grade, with the next two numbers */
  double energy_intercept, energy_slope;
  double stress_factor;               /* stress_error / stress_std; 0 = not calibrated */
  int uses_correction;                /* 1: force_error, error_above and reliability need the force of the posterior's mean correction */
  int n_thresholds;                   /* of the ordinal head, 0 without one; */
  double thresholds[UQ_MAX_THRESHOLDS];    /* eV/Angstrom */
  int available[UQ_N_QUANTITIES];     /* 1 where the file holds what the field or total needs */
  char sha256[65];                    /* of the file's bytes */
  char summary[1024];                 /* one line for the log */
  char warning[1024];                 /* empty = none */
} uq_model_info;

/* one rank's share of the system: atoms that take part, nodes are local ones followed by ghosts */
typedef struct uq_graph {
  int n_local, n_ghost;
  const int64_t *species;             /* (n_local + n_ghost) index into the elements given to load() */
  int64_t n_edges;
  const int64_t *centres;             /* (n_edges) local atom i */
  const int64_t *neighbours;          /* (n_edges) atom j, may be a ghost */
  const double *vectors;              /* (n_edges, 3) x_j - x_i, Angstrom */
  /* for an evaluator that takes lists, whose vectors are NULL: see NeighbourList */
  int64_t list;
  int n_sites;
  const int *node_of_site, *site_of_node, *site_of_edge;
  const double *positions;
  uq_ghost_exchange exchange;
} uq_graph;

/* what force_error, its levels, error_above and reliability are made of beside the grade, (n_local) each */
typedef struct uq_force_variables {
  const double *force_norm;           /* |F| of the model, eV/Angstrom */
  const double *neighbour_grade;
  const double *correction_norm;      /* |F| of the posterior's mean correction, eV/Angstrom; NULL where the file does not use it */
} uq_force_variables;

/* every function returns 0, or 1 with a text in message (UQ_MESSAGE_LENGTH bytes) */
typedef struct uq_bridge {
  int version;
  int (*load)(void **engine, const uq_settings *settings, const uq_model_source *file, int n_elements, const char *const *elements,
              uq_model_info *info, char *message);
  int (*evaluate)(void *engine, const uq_graph *graph, int keep /* 1: the next three may follow */, double *energies /* (n_local) eV */,
                  double *edge_gradients /* (n_edges, 3) dE/dr_ij, eV/Angstrom */, char *message);
  /* Of the graph last evaluated, handed in again because ghosts are exchanged inside; collective, also for ranks without atoms. Members
     K' ... 2 K' - 1 are those of the P-readout, here and below. */
  int (*member_gradients)(void *engine, const uq_graph *graph, int first, int n,
                          double *gradients /* (n, n_edges, 3) d(member - model)/dr_ij, eV/Angstrom */, char *message);
  /* The same of a function of the descriptors: of the posterior's mean correction, eV; of the sum of the atoms' grades with factors `of`
     (n_local); of the std of the total energy about the posterior's mean, eV, from the feature sum `of` of all ranks, which goes into value. */
  int (*descriptor_gradients)(void *engine, const uq_graph *graph, int function /* UQ_OF_... */, const double *of, double *value,
                              double *gradients /* (n_edges, 3) its unit per Angstrom */, char *message);
  /* Of the graph last evaluated: those of sums of the atoms' energies with weights, by the model (member -1) or as a force member changes
     them; collective. With shifts, n_sets is 4, unit weights and the atoms' x, y and z: a ghost's frame lies off its owner's by its shift, so
     what it sends home of a moment is less by the shift times what it sends home of the unit weights. */
  int (*energy_gradients)(void *engine, const uq_graph *graph, int member, int n_sets, const double *weights /* (n_sets, n_local) */,
                          double *gradients /* (n_sets, n_edges, 3) eV/Angstrom times the weights' unit */, char *message);
  int (*per_atom)(void *engine, int field, int n_local, const uq_force_variables *variables /* or NULL */,
                  double threshold /* of error_above and reliability, eV/Angstrom */, double *column /* (n_local) */, char *message);
  int (*feature_sum)(void *engine, double *sum /* (n_features) over this rank's atoms */, char *message);
  /* the same of the graph last evaluated with other vectors, by a forward pass alone; all that is kept stays; collective */
  int (*feature_sum_of)(void *engine, const uq_graph *graph, double *sum, char *message);
  int (*totals)(void *engine, const double *sum, double energy, double *std_lower_upper /* (3) eV */, char *message);
  /* sum NULL: what the members of the P-readout add to the energies of this rank's atoms, and to `energy` */
  int (*member_energies)(void *engine, const double *sum, double energy, double *energies /* (n_members) eV */, char *message);
  int (*memory_usage)(void *engine, double *bytes /* of weights, posterior and what is kept, but for torch's own */, char *message);
  void (*destroy)(void *engine);
} uq_bridge;

#ifdef __cplusplus
}
#endif
#endif
