// SPDX-License-Identifier: GPL-2.0-or-later
// Strength tau of a bias that is a share of the model's forces: the rule of ACEHAL (C. van der Oord et al., npj Comput. Mater. 9, 168 (2023)).
#ifndef LMP_UQ_BIAS_STRENGTH_H
#define LMP_UQ_BIAS_STRENGTH_H

#include <cstdint>

namespace lmp_uq {

class BiasStrength {
 public:
  static constexpr int STEPS = 20;    // of the exponential means; tau is 0 until so many have been seen

  // What a restart needs.
  struct Means {
    double n = 0.0, force = 0.0, slope = 0.0;    // steps seen; means of |F| and |ds/dx| over atoms, and then over steps
    double last = -1.0;                          // step seen last: a run begins with the one that the run before it ended with
  };

  void see(std::int64_t step, double force, double slope)
  {
    const double now = static_cast<double>(step);
    if (now == means_.last) return;
    const double share = means_.n > 0.0 ? 1.0 / STEPS : 1.0;
    means_ = {means_.n + 1.0, means_.force + share * (force - means_.force), means_.slope + share * (slope - means_.slope), now};
  }

  double tau(double relative) const { return means_.n > STEPS && means_.slope > 0.0 ? relative * means_.force / means_.slope : 0.0; }

  const Means &means() const { return means_; }
  void restore(const Means &means) { means_ = means; }

 private:
  Means means_;
};

}    // namespace lmp_uq
#endif
