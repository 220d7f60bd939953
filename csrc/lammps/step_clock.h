// SPDX-License-Identifier: GPL-2.0-or-later
// Where the time of the pair style goes, and how much it exchanges. Exchanges happen inside of model and bars and are taken out of them.
#ifndef LMP_UQ_STEP_CLOCK_H
#define LMP_UQ_STEP_CLOCK_H

#include "base/threads.h"
#include "over_ranks.h"

#include "lammps/fmt/format.h"

#include <array>
#include <chrono>
#include <string>

namespace lmp_uq {

struct StepClock {
  enum Section { EDGES, MODEL, EXCHANGE, BARS, N_SECTIONS };
  std::array<double, N_SECTIONS> seconds = {};
  double serial = 0.0;                      // seconds of one thread alone, outside of exchanges
  double n_exchanges = 0.0, bytes = 0.0;    // rows of ghosts: calls, and what this rank has put into their messages
  int depth = 0;    // of sections under way but EXCHANGE: bars that need bars count once

  // counts towards a section until it goes out of scope
  class Watch {
   public:
    Watch(StepClock &clock, Section section)
        : clock_(clock), section_(section), exchanged_(clock.seconds[EXCHANGE]), shared_(clock.shared_out()), begin_(now())
    {
      outer_ = section == EXCHANGE || clock.depth++ == 0;
    }
    ~Watch()
    {
      const double spent = now() - begin_;
      if (section_ == EXCHANGE) {
        clock_.seconds[EXCHANGE] += spent;
        clock_.shared_in_exchanges_ += clock_.shared_out() - shared_;
        return;
      }
      clock_.depth--;
      if (!outer_) return;
      const double own = spent - (clock_.seconds[EXCHANGE] - exchanged_);
      clock_.seconds[section_] += own;
      clock_.serial += own - (clock_.shared_out() - shared_);
    }
    Watch(const Watch &) = delete;
    Watch &operator=(const Watch &) = delete;

   private:
    static double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
    StepClock &clock_;
    const Section section_;
    const double exchanged_, shared_, begin_;
    bool outer_;
  };

  Watch watch(Section section) { return {*this, section}; }
  void reset() { *this = {}; }

  // of all ranks, in one line for the log; nothing where no time was spent. shares_out_work: see Evaluator. Collective.
  std::string summary(MPI_Comm world, bool shares_out_work) const
  {
    int n_ranks = 1;
    MPI_Comm_size(world, &n_ranks);
    const auto spent = sum_over_ranks(world, seconds);
    double total = 0.0;
    for (const double section : spent) total += section;
    if (total <= 0.0) return "";
    const auto percent = [&](Section section) { return 100.0 * spent[section] / total; };
    std::string alone;
    if (shares_out_work) alone = fmt::format("; one thread alone {:.2f} %", 100.0 * sum_over_ranks(world, serial) / total);
    return fmt::format("{:.4g} s on average of the ranks: edges {:.1f} %, model {:.1f} %, exchange {:.1f} %, bars {:.1f} %; "
                       "{:.0f} exchanges of {:.4g} MB in all",
                       total / n_ranks, percent(EDGES), percent(MODEL), percent(EXCHANGE), percent(BARS), n_exchanges,
                       1e-6 * sum_over_ranks(world, bytes)) + alone;
  }

 private:
  double shared_in_exchanges_ = 0.0;
  // seconds in work that threads share out, but for that of exchanges
  double shared_out() const { return shared_out_seconds() - shared_in_exchanges_; }
};

}    // namespace lmp_uq
#endif
