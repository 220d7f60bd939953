// SPDX-License-Identifier: GPL-2.0-or-later
// Whether a value that is taken as a function of the positions is in truth the energy or the pressure in other units, which depend on the
// potential themselves: a variable does not tell, but its samples follow them.
#ifndef LMP_UQ_HIDDEN_DEPENDENCE_H
#define LMP_UQ_HIDDEN_DEPENDENCE_H

#include <cmath>
#include <vector>

namespace lmp_uq {

class HiddenDependence {
 public:
  explicit HiddenDependence(int n_values) : values_(n_values) {}

  void clear() { *this = HiddenDependence(static_cast<int>(values_.size())); }

  // one sample: the values (n), the potential energy and the pressure of the system
  void add(const double *values, double energy, double pressure)
  {
    n_ += 1.0;
    const double references[2] = {energy, pressure};
    double before[2], after[2];
    for (int r = 0; r < 2; r++) {
      before[r] = references[r] - mean_[r];
      mean_[r] += before[r] / n_;
      after[r] = references[r] - mean_[r];
      square_[r] += before[r] * after[r];
    }
    for (std::size_t k = 0; k < values_.size(); k++) {
      Value &value = values_[k];
      const double deviation = values[k] - value.mean;
      value.mean += deviation / n_;
      value.square += deviation * (values[k] - value.mean);
      for (int r = 0; r < 2; r++) value.products[r] += deviation * after[r];
    }
  }

  // A falling value is none: at constant energy the temperature falls as the potential energy rises.
  bool follows_energy(int value) const { return follows(value, 0); }
  bool follows_pressure(int value) const { return follows(value, 1); }

 private:
  static constexpr double CORRELATION = 0.9999, FEWEST = 10.0;
  struct Value {
    double mean = 0.0, square = 0.0, products[2] = {};
  };
  bool follows(int value, int reference) const
  {
    const Value &of = values_[value];
    return n_ >= FEWEST && of.products[reference] > CORRELATION * std::sqrt(of.square * square_[reference]);
  }

  double n_ = 0.0, mean_[2] = {}, square_[2] = {};
  std::vector<Value> values_;
};

}    // namespace lmp_uq
#endif
