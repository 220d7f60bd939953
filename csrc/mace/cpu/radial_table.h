// SPDX-License-Identifier: GPL-2.0-or-later
// How a CPU keeps the tabulated radial functions of a pair of elements: coefficients by blocks of channels, for the loops over edges.
#ifndef LMP_UQ_RADIAL_TABLE_H
#define LMP_UQ_RADIAL_TABLE_H

#include "mace/cpu/kernels.h"
#include "mace/radial_knots.h"

namespace lmp_uq {

// A view of memory that one process wrote and others may read too: spans, polynomials of the density, coefficients.
template <class T> class RadialTable {
 public:
  static std::size_t n_bytes(int n_intervals, int n_functions, int n_channels);
  static void write(const RadialKnots &knots, int n_functions, int n_channels, unsigned char *memory);    // aligned to 64 bytes
  RadialTable(const unsigned char *memory, int n_functions);

  // Where a distance is: row (channel block 0) and argument of its polynomials, and dt/dr in 1/Angstrom.
  struct Place {
    const T *row;
    const double *density;
    double t, per_length;
  };

  double low() const { return spans_.low; }
  std::size_t stride() const { return stride_; }                // from one block of channels to the next
  Place find(double r) const;                                   // low <= r < cutoff
  static Jet density(const Place &place);                       // value and first derivative

 private:
  RadialSpans spans_;
  std::size_t row_size_, stride_;
  const double *density_;                                       // (interval, n_coefficients)
  const T *data_;                                               // (channel block, interval, function, n_coefficients, block)
};

// One edge's exact value and slope in the form of a table's row, with t = 0 and dt/dr = 1. stride: from one channel block to the next.
template <class T> void exact_row(const RadialFunctions::Point &point, int n_functions, int n_channels, T *row, std::size_t stride);

template <class T> std::size_t radial_row_size(int n_functions);    // numbers in a row of one channel block

}    // namespace lmp_uq
#endif
