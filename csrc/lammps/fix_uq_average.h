// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_FIX_UQ_AVERAGE_H
#define LMP_FIX_UQ_AVERAGE_H

#include "average_inputs.h"
#include "output_file.h"

#include "lammps/fix.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace lmp_uq {
class HiddenDependence;
class ThermalAverages;
class TotalFeatures;
}

namespace LAMMPS_NS {

// fix ID all uq/average Nevery Nrepeat Nfreq input ... uq ID temp T [file F] [ave running|one] [append yes|no]
class FixUqAverage : public Fix {
 public:
  FixUqAverage(class LAMMPS *, int, char **);
  ~FixUqAverage() override;
  int setmask() override;
  void init() override;
  void setup(int) override;
  void end_of_step() override;
  void post_run() override;
  double compute_vector(int) override;
  double compute_array(int, int) override;
  void write_restart(FILE *) override;
  void restart(char *) override;
  double memory_usage() override;

 private:
  enum Column { MEAN, STD, LOWER, UPPER, MEAN_ERROR, BAR_ERROR, N_COLUMNS };
  enum Summary { SAMPLES, VARIANCE_MEDIAN, VARIANCE_90, SHARE_MEDIAN, TEMPERATURE, N_SUMMARY };

  int nrepeat, nfreq;
  bool running = true, append = false;
  std::string source_id, temperature_word, file;
  lmp_uq::OutputFile out;
  std::string signature;           // what the statistics belong to
  std::unique_ptr<AverageInputs> inputs;
  std::unique_ptr<lmp_uq::ThermalAverages> averages;
  std::unique_ptr<lmp_uq::HiddenDependence> hidden;
  double temperature = 0.0;        // K
  double kinetic_sum = 0.0;        // K, of the samples of this run
  double kinetic_count = 0.0;
  bigint first_step;               // the fix was defined on
  bigint last_sample = -1;
  bigint last_output = -1;
  bool header_written = false;
  bigint last_told = -1;           // output in the log
  std::vector<std::string> notes, written_notes;    // what the formula assumes and this run may not keep
  std::set<std::string> warned;    // kinds of warnings
  std::vector<double> table;       // (n_values, N_COLUMNS) at the last output
  double summary[N_SUMMARY] = {};

  // words of the command
  int keyword(int, int, char **);
  void check_schedule(char **);
  void check_run();
  lmp_uq::TotalFeatures &source() const;    // looked up each time: computes come and go
  void check_source();
  void make_averages();
  std::vector<AverageInputs::Dependence> kinds() const;    // different dependences that have a row
  void read_temperature();
  void look_at_ensemble();

  // a run
  bigint next_sample(bigint after) const;
  void sample();
  class Compute *invoked(const char *name, int flag);
  void sample_references(const double *values);
  void fill_rows(const double *features, double *rows);
  void output();
  void summarize();
  void look_at_members();
  void look_at_noise();
  void look_at_dependences();
  std::string header() const;
  std::string note_lines();
  std::string block() const;
  void warn(const std::string &kind, const std::string &text);
};

}    // namespace LAMMPS_NS
#endif
