// SPDX-License-Identifier: GPL-2.0-or-later
// Whether a value that is taken as a function of the positions is in truth the energy or a pressure in other units, which depend on the
// potential themselves: a variable, or a sum over atoms, does not tell, but its samples follow them.
#ifndef LMP_UQ_HIDDEN_DEPENDENCE_H
#define LMP_UQ_HIDDEN_DEPENDENCE_H

#include <cmath>
#include <vector>

namespace lmp_uq {

class HiddenDependence {
 public:
  // the potential energy of the system, its pressure, the components xx yy zz xy xz yz of the pressure
  enum Reference { ENERGY, PRESSURE, COMPONENTS, N_REFERENCES = COMPONENTS + 6, NONE };

  explicit HiddenDependence(int n_values) : values_(n_values) {}

  // one sample: values (n), references (N_REFERENCES)
  void add(const double *values, const double *references)
  {
    n_ += 1.0;
    double after[N_REFERENCES];
    for (int r = 0; r < N_REFERENCES; r++) {
      const double before = references[r] - mean_[r];
      mean_[r] += before / n_;
      after[r] = references[r] - mean_[r];
      square_[r] += before * after[r];
    }
    for (std::size_t k = 0; k < values_.size(); k++) {
      Value &value = values_[k];
      const double deviation = values[k] - value.mean;
      value.mean += deviation / n_;
      value.square += deviation * (values[k] - value.mean);
      for (int r = 0; r < N_REFERENCES; r++) value.products[r] += deviation * after[r];
    }
  }

  // the first reference that all samples of a value are in proportion to, beside a constant; NONE below FEWEST samples
  int follows(int value) const
  {
    for (int r = 0; n_ >= FEWEST && r < N_REFERENCES; r++) {
      const Value &of = values_[value];
      // A value that falls as the energy rises is none: so does the temperature at constant energy. Stresses fall with the pressure.
      const double product = r == ENERGY ? of.products[r] : std::fabs(of.products[r]);
      if (product > CORRELATION * std::sqrt(of.square * square_[r])) return r;
    }
    return NONE;
  }

 private:
  static constexpr double CORRELATION = 0.9999, FEWEST = 10.0;
  struct Value {
    double mean = 0.0, square = 0.0, products[N_REFERENCES] = {};
  };

  double n_ = 0.0, mean_[N_REFERENCES] = {}, square_[N_REFERENCES] = {};
  std::vector<Value> values_;
};

}    // namespace lmp_uq
#endif
