// SPDX-License-Identifier: GPL-2.0-or-later
// Radial functions of one layer: exact from the network, and tabulated as piecewise quintic polynomials for the loops over edges.
#ifndef LMP_UQ_RADIAL_H
#define LMP_UQ_RADIAL_H

#include "base/aligned.h"
#include "mace/normed_network.h"
#include "mace/weights.h"

#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace lmp_uq {

// Columns of layer 0 are (l3, channel) with the source's features and, unless the layer is nonlinear, the message matrix of the centre's
// element folded in; columns of other layers are (path, channel that is sent). Angstrom.
class RadialFunctions {
 public:
  struct Point {
    std::vector<double> value, first, second;    // (n_columns) and derivatives with respect to r
    Jet density;
  };

  RadialFunctions(const Weights &weights, int layer);

  int n_functions() const { return n_functions_; }       // columns / channels
  int n_channels() const { return n_channels_; }
  Point at(double r, int centre, int source) const;      // of two elements
  std::pair<int, int> key(int centre, int source) const; // pairs of equal key have equal functions
  double lowest(int centre, int source) const;           // where a table starts, Angstrom

 private:
  using Rows = std::vector<std::vector<double>>;         // value, first, second
  Rows basis(double r, int centre, int source, Jet &cut) const;
  Rows network(Rows rows, int centre, int source) const;
  Jet density(const Rows &basis, int centre, int source) const;
  void fold(Rows &rows, int centre, int source) const;
  const Matrix &folding(int l, int centre, int source) const;

  const Weights &weights_;
  int layer_, n_functions_, n_channels_;
  std::vector<Matrix> steps_;
  Matrix density_, frequencies_;
  std::unique_ptr<NormedNetwork> normed_, normed_density_;    // in place of steps_ and density_ in nonlinear layers
  double prefactor_, envelope_cutoff_;
  int envelope_order_;
  Agnesi agnesi_{};
  mutable std::mutex mutex_;    // of foldings_, which grow while several evaluations run
  mutable std::map<std::pair<int, std::pair<int, int>>, Matrix> foldings_;
};

// Quintic Hermite interpolation from `low` to the cutoff: value and two derivatives are those of the functions at the knots, and the
// derivative of a table is the derivative of its value everywhere. Each of N_SPANS equal spans is halved as often as it needs.
template <class T> class RadialTable {
 public:
  // tolerance: largest error of a derivative over the largest derivative in the outer three quarters of the range
  RadialTable(const RadialFunctions &functions, int centre, int source, double cutoff, double tolerance);

  // Where a distance is: row (channel block 0) and argument of its polynomials, and dt/dr in 1/Angstrom.
  struct Place {
    const T *row;
    const double *density;
    double t, per_length;
  };

  double low() const { return low_; }
  std::size_t stride() const { return n_ * row_size_; }         // from one block of channels to the next
  Place find(double r) const;                                   // low <= r < cutoff
  static Jet density(const Place &place);                       // value and first derivative
  std::size_t n_bytes() const { return data_.size() * sizeof(T) + density_.size() * sizeof(double); }

 private:
  static constexpr int N_SPANS = 16, MOST_HALVINGS = 7;
  using Point = RadialFunctions::Point;
  using Knots = std::vector<Point>;                             // of one span
  double worst(const RadialFunctions &functions, const Knots &knots, double first, int centre, int source) const;
  void fill(const std::vector<Knots> &spans);

  int n_ = 0, n_functions_, n_channels_;                        // n_: intervals
  double low_, span_;
  std::size_t row_size_;
  int first_[N_SPANS], pieces_[N_SPANS];                        // of each span: its first interval, how many it has
  double slope_scale_ = 1e-300, density_scale_ = 1e-300;        // largest derivatives there
  Aligned<T> data_;                                             // (channel block, interval, function, N_COEFFICIENTS, block)
  std::vector<double> density_;                                 // (interval, N_COEFFICIENTS)
};

// One edge's exact value and slope in the form of a table's row, with t = 0 and dt/dr = 1. stride: from one channel block to the next.
template <class T> void exact_row(const RadialFunctions::Point &point, int n_functions, int n_channels, T *row, std::size_t stride);

template <class T> std::size_t radial_row_size(int n_functions);    // numbers in a row of one channel block

}    // namespace lmp_uq
#endif
