/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Of what a pull takes the gradient: for each of its sets, the sum of the atoms' energies and descriptors with these weights. In C, for all
   who hand it on. */
#ifndef LMP_UQ_PULL_WEIGHTS_H
#define LMP_UQ_PULL_WEIGHTS_H

struct lmp_uq_pull_weights {     /* NULL: none of them */
  const double *energies;        /* (n_sets, n_local) */
  const double *descriptors;     /* (n_sets, n_local, n_features) */
  const double *coefficients;    /* (n_sets, n_features): weights of descriptors that all atoms share, */
  const double *of_atoms;        /* (n_sets, n_local), times these; NULL: 1 */
};

#endif
