// SPDX-License-Identifier: GPL-2.0-or-later
// Radial functions of one layer, exact from the network.
#ifndef LMP_UQ_RADIAL_H
#define LMP_UQ_RADIAL_H

#include "mace/normed_network.h"
#include "mace/weights.h"

#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace lmp_uq {

// Columns of layer 0 are (l3, channel) with the source's features and, unless the layer is nonlinear, the message matrix of the centre's
// element folded in; columns of other layers are (path, channel that is sent). All are sums of a few hidden functions, those before the last
// matrix of the radial network. Angstrom.
class RadialFunctions {
 public:
  struct Point {
    std::vector<double> value, first, second;    // (n_columns) and derivatives with respect to r
    Jet density;
  };
  struct Hidden {                                // at many distances
    Matrix value, first, second;                 // (n_points, n_hidden)
    std::vector<Jet> density;
  };

  RadialFunctions(const Weights &weights, int layer);

  int n_functions() const { return n_functions_; }       // columns / channels
  int n_channels() const { return n_channels_; }
  int n_columns() const { return n_functions_ * n_channels_; }
  Point at(double r, int centre, int source) const;      // of two elements
  Hidden hidden(const std::vector<double> &distances, int centre, int source) const;
  std::shared_ptr<const Matrix> columns(int centre, int source) const;    // (n_hidden, n_columns): hidden functions -> columns
  std::pair<int, int> key(int centre, int source) const; // pairs of equal key have equal functions
  double lowest(int centre, int source) const;           // where a table starts, Angstrom

 private:
  using Rows = std::vector<std::vector<double>>;         // value, first, second
  Jet transformed(double r, int centre, int source) const;
  Rows basis(double r, int centre, int source, Jet &cut) const;
  void network(Matrix &rows, std::size_t n_points) const;
  Jet density(const Rows &basis, int centre, int source) const;
  std::shared_ptr<const Matrix> known_columns(int centre, int source) const;

  const Weights &weights_;
  int layer_, n_functions_, n_channels_;
  std::vector<Matrix> steps_;                   // but for the last
  std::shared_ptr<const Matrix> last_;
  Matrix density_, parameters_;                 // parameters_: of the basis
  std::unique_ptr<NormedNetwork> normed_, normed_density_;    // in place of steps_ and density_ in nonlinear layers
  double scale_, envelope_cutoff_;
  int envelope_order_;
  Agnesi agnesi_{};
  double softness_ = 0.0;
  mutable std::mutex mutex_;    // of columns_, which grow while several evaluations run
  mutable std::map<std::pair<int, int>, std::shared_ptr<const Matrix>> columns_;    // by key
};

}    // namespace lmp_uq
#endif
