// SPDX-License-Identifier: GPL-2.0-or-later
// Evaluator behind which csrc/mace/cpu runs: model file, MACE and posterior head, in this process and without an interpreter.
#include "evaluator.h"

#include "mace/cpu/engine.h"
#include "model_name.h"
#include "native_exchange.h"
#include "head/posterior.h"
#include "base/text.h"

#include "fields.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace {

// as lmp_uq.run.engine says it
constexpr char NOT_MACE[] = "holds a linear potential, which a pair style of LAMMPS runs: lmp-uq export writes its files, compute uq/linear gives its "
                            "bars; accepted here: family mace";
constexpr double LEVEL = 0.9, LEVEL_50 = 0.5, LEVEL_95 = 0.95;

void put(char *target, const std::string &text, std::size_t size)
{
  const std::size_t n = std::min(text.size(), size - 1);
  std::memcpy(target, text.data(), n);
  target[n] = '\0';
}

std::string general(double value)    // as "%g"
{
  char out[32];
  std::snprintf(out, sizeof(out), "%g", value);
  return out;
}

std::vector<std::string> symbols_of(const lmp_uq::ModelFile &file)
{
  std::vector<std::string> out;
  for (const auto &element : file.header().at("elements").array()) out.push_back(element.string());
  return out;
}

// for each name the number of its element in the file
std::vector<int> numbers_of(const std::vector<std::string> &names, const std::vector<std::string> &known, const std::string &file)
{
  const std::string all = lmp_uq::joined(known, " ");
  if (names.empty()) throw std::runtime_error("no atom type is given an element; elements of " + file + ": " + all);
  std::vector<int> out;
  for (const auto &name : names) {
    const auto found = std::find(known.begin(), known.end(), name);
    if (found == known.end()) throw std::runtime_error("element " + name + " is not in " + file + " (elements: " + all + ")");
    out.push_back(static_cast<int>(found - known.begin()));
  }
  return out;
}

class NativeEvaluator : public lmp_uq::Evaluator {
 public:
  explicit NativeEvaluator(const lmp_uq::Settings &settings) : settings_(settings) {}

  uq_model_info load(const std::string &name, const std::vector<std::string> &elements) override;
  void evaluate(const uq_graph &graph, bool keep, double *energies, double *edge_gradients) override;
  void member_gradients(const uq_graph &graph, int first, int n, double *gradients) override
  {
    correct(graph, n, head_->force_member(first), head_->n_descriptors(), gradients);
  }
  void correction_gradients(const uq_graph &graph, double *gradients) override { correct(graph, 1, head_->mean_correction(), 0, gradients); }
  void energy_gradients(const uq_graph &graph, int member, int n_sets, const double *weights, double *gradients) override;
  void per_atom(int field, const uq_force_variables *variables, double threshold, double *column) override;
  void feature_sum(double *sum) override { head_->feature_sum(species_.size(), descriptors_.data(), species_.data(), sum); }
  void feature_sum_of(const uq_graph &graph, double *sum) override;
  void totals(const double *sum, double energy, double std_lower_upper[3]) override { head_->totals(sum, energy, std_lower_upper); }
  void member_energies(const double *sum, double energy, double *energies) override { head_->member_energies(sum, energy, energies); }
  double memory_usage() override;

 private:
  void make_engine();
  bool offers(int index) const;
  uq_model_info describe() const;
  lmp_uq::AtomGraph atom_graph(const uq_graph &graph);
  void correct(const uq_graph &graph, int n, const double *coefficients, std::size_t stride, double *gradients,
               const double *weights = nullptr);
  const double *bars(int field);
  const double *grades();

  const lmp_uq::Settings settings_;
  std::string precision_;
  std::unique_ptr<lmp_uq::ModelFile> file_;    // the engine looks into its bytes
  std::vector<int> elements_;                  // of each species
  std::unique_ptr<lmp_uq::Posterior> head_;
  std::unique_ptr<lmp_uq::Engine> engine_;

  // of the configuration last evaluated
  std::unique_ptr<lmp_uq::Engine::State> state_;
  std::vector<std::int64_t> species_;          // (n_local) -1: takes no part
  std::vector<std::int64_t> node_elements_;    // (n_nodes) index into the file's elements
  std::vector<double> energies_, descriptors_, weights_, grades_, bars_[3];
  bool has_grades_ = false, has_bars_ = false;

  std::vector<double> other_descriptors_;      // scratch of feature_sum_of
};

uq_model_info NativeEvaluator::load(const std::string &name, const std::vector<std::string> &elements)
{
  const std::string path = lmp_uq::resolve_model(name);
  file_ = std::make_unique<lmp_uq::ModelFile>(lmp_uq::ModelFile::read(path));
  if (file_->header().at("backbone").at("family").string() != "mace") throw std::runtime_error(name + " " + NOT_MACE);
  lmp_uq::PosteriorOptions options;
  options.n_members = settings_.members;
  options.n_force_members = settings_.force_members;
  options.conservative = settings_.conservative;
  options.learned = settings_.learned;
  options.name = name;
  elements_ = numbers_of(elements, symbols_of(*file_), name);
  head_ = std::make_unique<lmp_uq::Posterior>(*file_, elements_, options);
  make_engine();
  head_->use_threads(engine_->n_threads());
  return describe();
}

// what goes wrong here is a feature that this engine lacks, not a bad file
void NativeEvaluator::make_engine()
{
  if (settings_.device == "cuda" || settings_.device.rfind("cuda:", 0) == 0)
    throw lmp_uq::NotNative("engine native runs on the CPU; device is " + settings_.device + ", accepted: auto, cpu");
  if (settings_.device != "auto" && settings_.device != "cpu")
    throw std::runtime_error("device is '" + settings_.device + "'; accepted: cpu, cuda, cuda:N or auto");
  precision_ = settings_.precision == "file" ? file_->header().at("precision").string() : settings_.precision;
  file_->keep_only("backbone");
  lmp_uq::Engine::Options options;
  options.single_precision = precision_ == "float32";
  options.single_precision_bars = settings_.bars_precision == "float32";
  options.threads = settings_.threads;
  try {
    engine_ = lmp_uq::Engine::make(file_->header().at("backbone").at("architecture"), file_->section("backbone"), options);
  } catch (const std::runtime_error &failure) {
    throw lmp_uq::NotNative(failure.what());
  }
  if (engine_->shape().n_features() != head_->n_descriptors())
    throw std::runtime_error("header key 'backbone.n_features' is " + std::to_string(head_->n_descriptors()) + "; the architecture gives " +
                             std::to_string(engine_->shape().n_features()));
}

bool NativeEvaluator::offers(int index) const
{
  switch (index) {
    case UQ_GRADE:
    case UQ_NEIGHBOUR_GRADE: return head_->has_grade();
    case UQ_FORCE_ERROR: return head_->has_force_error();
    case UQ_ERROR_ABOVE: return head_->has_quantiles();
    case UQ_RELIABILITY: return !head_->thresholds().empty();
    case UQ_FORCE_ERROR_50: return head_->has_level(LEVEL_50);
    case UQ_FORCE_ERROR_95: return head_->has_level(LEVEL_95);
    case UQ_ENERGY_ERROR: return head_->has_energy_error();
    case UQ_STRESS_ERROR: return head_->n_force_members() > 0 && head_->stress_factor() != 0.0;
    case UQ_STRESS_STD: return head_->n_force_members() > 0;
    default: return lmp_uq::quantity(index).dear ? head_->n_force_members() > 0 : head_->has_box();
  }
}

uq_model_info NativeEvaluator::describe() const
{
  uq_model_info info = {};
  info.cutoff = engine_->shape().cutoff;
  info.n_features = head_->n_features();
  info.n_members = head_->n_members();
  info.n_force_members = head_->n_force_members();
  info.energy_factor = head_->energy_error().factor;
  info.energy_of_grade = head_->energy_error().of_mean_grade;
  info.energy_intercept = head_->energy_error().intercept;
  info.energy_slope = head_->energy_error().slope;
  info.stress_factor = head_->stress_factor();
  info.uses_correction = head_->uses_correction();
  info.n_thresholds = static_cast<int>(head_->thresholds().size());
  std::copy(head_->thresholds().begin(), head_->thresholds().end(), info.thresholds);
  std::vector<std::string> fields, unknown;
  for (int k = 0; k < UQ_N_QUANTITIES; k++) {
    info.available[k] = offers(k);
    if (k < UQ_N_FIELDS && offers(k)) fields.push_back(lmp_uq::FIELDS[k].name);
  }
  const std::vector<std::string> symbols = symbols_of(*file_);
  std::string posterior = head_->has_box() ? "POPS posterior with " + std::to_string(info.n_members) + " members" : "no posterior";
  if (info.n_force_members) posterior += " and " + std::to_string(info.n_force_members) + " force members";
  for (const int element : head_->unknown_elements()) unknown.push_back(symbols[element]);
  put(info.sha256, file_->sha256(), sizeof(info.sha256));
  put(info.summary,
      lmp_uq::joined(symbols, " ") + ", cutoff " + general(info.cutoff) + " Angstrom, " + precision_ + " on cpu (native engine, " +
          engine_->instruction_set() + "), " + posterior + ", fields: " + (fields.empty() ? "none" : lmp_uq::joined(fields, ", ")),
      sizeof(info.summary));
  if (!unknown.empty())
    put(info.warning, "no training atoms of " + lmp_uq::joined(unknown, " ") + " in this file: their grade and force_error are inf",
        sizeof(info.warning));
  return info;
}

// an atom that takes no part has no edges, and what comes of it is dropped: any element will do
lmp_uq::AtomGraph NativeEvaluator::atom_graph(const uq_graph &graph)
{
  const int n_nodes = graph.n_local + graph.n_ghost;
  node_elements_.resize(n_nodes);
  for (int i = 0; i < n_nodes; i++) node_elements_[i] = elements_[std::max<std::int64_t>(graph.species[i], 0)];
  return {graph.n_local, n_nodes, node_elements_.data(), graph.n_edges, graph.centres, graph.neighbours, graph.vectors};
}

void NativeEvaluator::evaluate(const uq_graph &graph, bool keep, double *energies, double *edge_gradients)
{
  has_grades_ = has_bars_ = false;
  state_.reset();
  const lmp_uq::AtomGraph atoms = atom_graph(graph);
  species_.assign(graph.species, graph.species + graph.n_local);
  energies_.resize(graph.n_local + 1);    // never empty: a rank without atoms still hands pointers over
  descriptors_.resize(static_cast<std::size_t>(graph.n_local) * head_->n_descriptors() + 1);
  weights_.assign(graph.n_local + 1, 1.0);
  auto state = engine_->evaluate(atoms, lmp_uq::exchange_of(graph), true, energies_.data(), descriptors_.data());
  engine_->pull(*state, lmp_uq::exchange_of(graph), 1, weights_.data(), nullptr, edge_gradients);
  std::copy_n(energies_.data(), graph.n_local, energies);
  if (keep) state_ = std::move(state);
}

void NativeEvaluator::feature_sum_of(const uq_graph &graph, double *sum)
{
  other_descriptors_.resize(static_cast<std::size_t>(graph.n_local) * head_->n_descriptors() + 1);
  engine_->evaluate(atom_graph(graph), lmp_uq::exchange_of(graph), false, nullptr, other_descriptors_.data());
  head_->feature_sum(species_.size(), other_descriptors_.data(), species_.data(), sum);
}

// gradients (n, n_edges, 3) of corrections by n times P coefficients, the next ones after a stride, each atom's times its weight (n, n_local)
void NativeEvaluator::correct(const uq_graph &graph, int n, const double *coefficients, std::size_t stride, double *gradients,
                              const double *weights)
{
  if (!state_) throw std::runtime_error("no derivatives were kept");
  const std::size_t width = head_->n_descriptors(), n_local = species_.size();
  weights_.assign(n * n_local * width + 1, 0.0);
  for (int k = 0; k < n; k++)
    for (std::size_t i = 0; i < n_local; i++)
      for (std::size_t p = 0; species_[i] >= 0 && p < width; p++)
        weights_[(k * n_local + i) * width + p] = coefficients[k * stride + p] * (weights ? weights[k * n_local + i] : 1.0);
  engine_->pull(*state_, lmp_uq::exchange_of(graph), n, nullptr, weights_.data(), gradients);
}

void NativeEvaluator::energy_gradients(const uq_graph &graph, int member, int n_sets, const double *weights, double *gradients)
{
  if (member != OF_MODEL) return correct(graph, n_sets, head_->force_member(member), 0, gradients, weights);
  if (!state_) throw std::runtime_error("no derivatives were kept");
  engine_->pull(*state_, lmp_uq::exchange_of(graph), n_sets, weights, nullptr, gradients);
}

void NativeEvaluator::per_atom(int field, const uq_force_variables *variables, double threshold, double *column)
{
  const std::size_t n_local = species_.size();
  const double level = field == UQ_FORCE_ERROR_50 ? LEVEL_50 : field == UQ_FORCE_ERROR_95 ? LEVEL_95 : LEVEL;
  if (field == UQ_GRADE) {
    std::copy_n(grades(), n_local, column);
  } else if (lmp_uq::FIELDS[field].of_force) {
    const lmp_uq::ForceColumns of = {variables->force_norm, grades(), variables->neighbour_grade, variables->correction_norm};
    if (field == UQ_ERROR_ABOVE)
      head_->errors_above(n_local, species_.data(), of, threshold, column);
    else if (field == UQ_RELIABILITY)
      head_->reliabilities(n_local, descriptors_.data(), species_.data(), of, threshold, column);
    else
      head_->force_errors(n_local, descriptors_.data(), species_.data(), of, level, column);
  } else {
    std::copy_n(bars(field), n_local, column);
  }
}

double NativeEvaluator::memory_usage()
{
  return static_cast<double>(file_->n_bytes() + head_->n_bytes() + engine_->n_bytes() + (state_ ? state_->n_bytes() : 0)) +
      lmp_uq::bytes_of(species_, node_elements_, energies_, descriptors_, weights_, grades_, bars_[0], bars_[1], bars_[2],
                       other_descriptors_);
}

const double *NativeEvaluator::grades()
{
  grades_.resize(species_.size() + 1);
  if (!has_grades_) head_->grades(species_.size(), descriptors_.data(), species_.data(), grades_.data());
  has_grades_ = true;
  return grades_.data();
}

const double *NativeEvaluator::bars(int field)
{
  for (auto &bar : bars_) bar.resize(species_.size() + 1);
  if (!has_bars_)
    head_->energy_bars(species_.size(), descriptors_.data(), species_.data(), energies_.data(), bars_[0].data(), bars_[1].data(),
                       bars_[2].data());
  has_bars_ = true;
  return bars_[field - UQ_ENERGY_STD].data();
}

}    // namespace

std::unique_ptr<lmp_uq::Evaluator> lmp_uq::make_native_evaluator(const Settings &settings)
{
  return std::make_unique<NativeEvaluator>(settings);
}
