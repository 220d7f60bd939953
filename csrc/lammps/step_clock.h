// SPDX-License-Identifier: GPL-2.0-or-later
// Where the time of the pair style goes. Exchanges happen inside of model and bars and are taken out of them.
#ifndef LMP_UQ_STEP_CLOCK_H
#define LMP_UQ_STEP_CLOCK_H

#include <chrono>

namespace lmp_uq {

struct StepClock {
  enum Section { EDGES, MODEL, EXCHANGE, BARS, N_SECTIONS };
  double seconds[N_SECTIONS] = {};
  int depth = 0;    // of sections under way but EXCHANGE: bars that need bars count once

  // counts towards a section until it goes out of scope
  class Watch {
   public:
    Watch(StepClock &clock, Section section) : clock_(clock), section_(section), exchanged_(clock.seconds[EXCHANGE]), begin_(now())
    {
      outer_ = section == EXCHANGE || clock.depth++ == 0;
    }
    ~Watch()
    {
      const double spent = now() - begin_;
      if (section_ == EXCHANGE) {
        clock_.seconds[EXCHANGE] += spent;
        return;
      }
      clock_.depth--;
      if (outer_) clock_.seconds[section_] += spent - (clock_.seconds[EXCHANGE] - exchanged_);
    }
    Watch(const Watch &) = delete;
    Watch &operator=(const Watch &) = delete;

   private:
    static double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
    StepClock &clock_;
    const Section section_;
    const double exchanged_, begin_;
    bool outer_;
  };

  Watch watch(Section section) { return {*this, section}; }
  void reset() { *this = {}; }
};

}    // namespace lmp_uq
#endif
