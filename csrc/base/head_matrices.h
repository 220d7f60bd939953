/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The numbers of a posterior head that the fields of single atoms are made of, in C: all float64, rows one behind the other. */
#ifndef LMP_UQ_BASE_HEAD_MATRICES_H
#define LMP_UQ_BASE_HEAD_MATRICES_H

struct lmp_uq_head_matrices {
  int n_descriptors;         /* P */
  int n_modes, n_bias;       /* of the box, those with an extent; bias columns: 0, 1, or one for each element of the file */
  double z;                  /* normal score of the number of members */
  const double *box;         /* (P, n_modes+1): how far each mode reaches for a descriptor, then the mean; NULL: no posterior */
  const double *bias;        /* (n_bias, n_modes+1) of the bias columns */
  int n_known;               /* elements with a grade */
  const int *known;          /* (n_known) which, of the file's */
  const double *radius;      /* (n_known) */
  const double *mean;        /* (n_known, P) */
  const double *whitening;   /* (n_known, P, P), transposed: a difference of descriptors times it */
};

#endif
