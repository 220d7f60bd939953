// SPDX-License-Identifier: GPL-2.0-or-later
// Evaluator behind which lmp_uq.run.engine runs, through the table that lmp_uq._bridge fills.
#include "evaluator.h"

#include "python_host.h"

#include <stdexcept>

namespace {

class PythonEvaluator : public lmp_uq::Evaluator {
 public:
  explicit PythonEvaluator(const lmp_uq::Settings &settings)
      : settings_(settings), bridge_(lmp_uq::python_bridge()), message_(UQ_MESSAGE_LENGTH, '\0'), pulls_(settings.threads)
  {
  }
  ~PythonEvaluator() override
  {
    if (engine_) bridge_.destroy(engine_);
  }
  PythonEvaluator(const PythonEvaluator &) = delete;
  PythonEvaluator &operator=(const PythonEvaluator &) = delete;

  uq_model_info load(const lmp_uq::ModelSource &source, const std::vector<std::string> &elements) override
  {
    const uq_settings settings = {settings_.device.c_str(), settings_.precision.c_str(), settings_.members, settings_.force_members,
                                  settings_.threads,        settings_.conservative,      settings_.learned, settings_.local_rank};
    std::vector<const char *> names;
    for (const auto &element : elements) names.push_back(element.c_str());
    const uq_model_source file = {source.name.c_str(), source.path.c_str(), source.bytes.data.get(), source.bytes.n, source.sha256.c_str()};
    uq_model_info info = {};
    check(bridge_.load(&engine_, &settings, &file, static_cast<int>(names.size()), names.data(), &info, text()));
    return info;
  }
  void evaluate(const uq_graph &graph, bool keep, double *energies, const lmp_uq::Pulled &out) override
  {
    n_local_ = graph.n_local;
    check(bridge_.evaluate(engine_, &graph, keep, energies, pulls_.gradients(graph, 1, out), text()));
    pulls_.add_up(graph, 1, out);
  }
  void pull_members(const uq_graph &graph, int first, int n, const lmp_uq::Pulled &out) override
  {
    check(bridge_.member_gradients(engine_, &graph, first, n, pulls_.gradients(graph, n, out), text()));
    pulls_.add_up(graph, n, out);
  }
  void pull_correction(const uq_graph &graph, const lmp_uq::Pulled &out) override { pull(graph, UQ_OF_CORRECTION, nullptr, out); }
  void energy_gradients(const uq_graph &graph, int member, int n_sets, const double *weights, double *gradients) override
  {
    check(bridge_.energy_gradients(engine_, &graph, member, n_sets, weights, gradients, text()));
  }
  void pull_grades(const uq_graph &graph, const double *factors, const lmp_uq::Pulled &out) override
  {
    pull(graph, UQ_OF_GRADES, factors, out);
  }
  double pull_total_std(const uq_graph &graph, const double *sum, const lmp_uq::Pulled &out) override { return pull(graph, UQ_OF_STD, sum, out); }
  void per_atom(int field, const uq_force_variables *variables, double threshold, double *column) override
  {
    check(bridge_.per_atom(engine_, field, n_local_, variables, threshold, column, text()));
  }
  void feature_sum(double *sum) override { check(bridge_.feature_sum(engine_, sum, text())); }
  void feature_sum_of(const uq_graph &graph, double *sum) override { check(bridge_.feature_sum_of(engine_, &graph, sum, text())); }
  void totals(const double *sum, double energy, double std_lower_upper[3]) override
  {
    check(bridge_.totals(engine_, sum, energy, std_lower_upper, text()));
  }
  void member_energies(const double *sum, double energy, double *energies) override
  {
    check(bridge_.member_energies(engine_, sum, energy, energies, text()));
  }
  void readout_energies(double *energies) override { check(bridge_.member_energies(engine_, nullptr, 0.0, energies, text())); }

  double memory_usage() override
  {
    double bytes = 0.0;
    check(bridge_.memory_usage(engine_, &bytes, text()));
    return bytes + static_cast<double>(pulls_.n_bytes());
  }

 private:
  double pull(const uq_graph &graph, int function, const double *of, const lmp_uq::Pulled &out)
  {
    double value = 0.0;
    check(bridge_.descriptor_gradients(engine_, &graph, function, of, &value, pulls_.gradients(graph, 1, out), text()));
    pulls_.add_up(graph, 1, out);
    return value;
  }
  char *text() { return &message_[0]; }
  void check(int failed)
  {
    if (failed) throw std::runtime_error(message_.c_str());
  }

  const lmp_uq::Settings settings_;
  const uq_bridge &bridge_;
  std::string message_;
  lmp_uq::EdgePulls pulls_;
  void *engine_ = nullptr;
  int n_local_ = 0;    // of the configuration last evaluated
};

}    // namespace

std::unique_ptr<lmp_uq::Evaluator> lmp_uq::make_python_evaluator(const Settings &settings)
{
  return std::make_unique<PythonEvaluator>(settings);
}
