// SPDX-License-Identifier: GPL-2.0-or-later
// Evaluator behind which csrc/mace/cpu runs: model file, MACE and posterior head, in this process and without an interpreter.
#include "evaluator.h"

#include "mace/engine.h"
#include "mace/device_library.h"
#include "native_info.h"
#include "head/p_readout.h"
#include "head/posterior.h"
#include "base/text.h"

#include "atom_bars.h"
#include "fields.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace {

// as lmp_uq.run.engine says it
constexpr char NOT_MACE[] = "holds a linear potential, which a pair style of LAMMPS runs: lmp-uq export writes its files, compute uq/linear gives its "
                            "bars; accepted here: family mace";

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

  uq_model_info load(const lmp_uq::ModelSource &source, const std::vector<std::string> &elements) override;
  double table_bytes() override { return engine_->table_bytes_of(elements_); }
  std::size_t make_tables(std::shared_ptr<lmp_uq::TableStore> store) override;
  bool takes_lists() const override { return keeps_lists_ != nullptr; }
  void evaluate(const uq_graph &graph, bool keep, double *energies, const lmp_uq::Pulled &out) override;
  void pull_members(const uq_graph &graph, int first, int n, const lmp_uq::Pulled &out) override;
  void pull_correction(const uq_graph &graph, const lmp_uq::Pulled &out) override { correct(graph, 1, head_->mean_correction(), 0, out); }
  void energy_gradients(const uq_graph &graph, int member, int n_sets, const double *weights, double *gradients) override;
  void pull_grades(const uq_graph &graph, const double *factors, const lmp_uq::Pulled &out) override;
  double pull_total_std(const uq_graph &graph, const double *sum, const lmp_uq::Pulled &out) override;
  void per_atom(int field, const uq_force_variables *variables, double threshold, double *column) override;
  bool neighbour_means(const double *values, double *means) override { return bars_->neighbour_means(values, means); }
  bool member_std(std::size_t n, int n_members, const double *forces, double *std) override { return bars_->member_std(n, n_members, forces, std); }
  void feature_sum(double *sum) override { bars_->feature_sum(sum); }
  void feature_sum_of(const uq_graph &graph, double *sum) override;
  void totals(const double *sum, double energy, double std_lower_upper[3]) override { head_->totals(sum, energy, std_lower_upper); }
  void member_energies(const double *sum, double energy, double *energies) override { head_->member_energies(sum, energy, energies); }
  void readout_energies(double *energies) override { readout_->energies(species_.size(), bars_->descriptors(), head_->n_members(), energies); }
  double memory_usage() override;
  std::string remark() const override { return remark_; }
  bool shares_out_work() const override { return engine_->device() == "cpu"; }

 private:
  lmp_uq::DeviceChoice choose() const;
  void use_device(const lmp_uq::DeviceChoice &device, lmp_uq::Engine::Options &options);
  void make_engine();
  lmp_uq::AtomGraph atom_graph(const uq_graph &graph);
  void pull(const uq_graph &graph, int n, const lmp_uq::ListEngine::PullWeights &weights, const lmp_uq::Pulled &out);
  void correct(const uq_graph &graph, int n, const double *coefficients, std::size_t stride, const lmp_uq::Pulled &out,
               const double *weights = nullptr);
  void weigh_readout(const uq_graph &graph, int member, int n_sets, const double *of_atoms, const lmp_uq::Pulled &out);

  const lmp_uq::Settings settings_;
  std::string precision_, remark_;
  std::unique_ptr<lmp_uq::ModelFile> file_;    // the engine looks into its bytes
  std::vector<int> elements_;                  // of each species
  std::unique_ptr<lmp_uq::Posterior> head_;
  std::unique_ptr<lmp_uq::PReadout> readout_;    // nullptr: the file has none
  std::unique_ptr<lmp_uq::Engine> engine_;
  lmp_uq::ListEngine *keeps_lists_ = nullptr;  // engine_, where it does
  lmp_uq::EdgePulls pulls_{1};
  std::unique_ptr<lmp_uq::AtomBars> bars_;

  // of the configuration last evaluated
  std::unique_ptr<lmp_uq::Engine::State> state_;    // where derivatives were kept, or descriptors stay with it
  bool has_derivatives_ = false;
  std::vector<std::int64_t> species_;          // (n_local)
  std::vector<std::int64_t> node_elements_;    // (n_nodes) index into the file's elements
  std::vector<double> energies_, weights_;

  std::vector<double> other_descriptors_;      // scratch of feature_sum_of
  double shared_elsewhere_ = 0.0;              // bytes of tables that another rank of the node answers for
};

uq_model_info NativeEvaluator::load(const lmp_uq::ModelSource &source, const std::vector<std::string> &elements)
{
  const std::string &name = source.name;
  file_ = std::make_unique<lmp_uq::ModelFile>(lmp_uq::ModelFile::parse(source.path, source.bytes, source.sha256));
  if (file_->header().at("backbone").at("family").string() != "mace") throw std::runtime_error(name + " " + NOT_MACE);
  lmp_uq::PosteriorOptions options;
  options.n_members = settings_.members;
  options.n_force_members = settings_.force_members;
  options.conservative = settings_.conservative;
  options.learned = settings_.learned;
  options.name = name;
  elements_ = numbers_of(elements, lmp_uq::symbols_of(*file_), name);
  head_ = std::make_unique<lmp_uq::Posterior>(*file_, elements_, options);
  readout_ = lmp_uq::PReadout::of(*file_);
  make_engine();
  head_->use_threads(engine_->n_threads());
  if (readout_) readout_->use_threads(engine_->n_threads());
  bars_ = std::make_unique<lmp_uq::AtomBars>(*head_, *engine_);
  return lmp_uq::describe(*file_, *head_, readout_ != nullptr, *engine_, precision_);
}

// a device that is not there is a reason for another engine, a word that is none is not
lmp_uq::DeviceChoice NativeEvaluator::choose() const
{
  try {
    return lmp_uq::choose_device(settings_.device, settings_.local_rank);
  } catch (const std::runtime_error &failure) {
    if (settings_.device.rfind("cuda", 0) != 0) throw;
    throw lmp_uq::NotNative(failure.what());
  }
}

void NativeEvaluator::use_device(const lmp_uq::DeviceChoice &device, lmp_uq::Engine::Options &options)
{
  const bool dealt_out = settings_.device.find(':') == std::string::npos;
  options.n_sharing = dealt_out ? (settings_.ranks_of_node + device.n_devices - 1) / device.n_devices : settings_.ranks_of_node;
  if (options.single_precision) return;
  remark_ = lmp_uq::double_precision_remark(device.number);
  if (options.single_precision_bars) remark_ += std::string(remark_.empty() ? "" : "; ") + "bars_precision float32 is of the CPU, bars on a device have the model's";
}

// what goes wrong here is a feature that this engine lacks, not a bad file
void NativeEvaluator::make_engine()
{
  const lmp_uq::DeviceChoice device = choose();
  if (settings_.asks_device) remark_ = device.remark;
  precision_ = settings_.precision == "file" ? file_->header().at("precision").string() : settings_.precision;
  file_->keep_only("backbone");
  lmp_uq::Engine::Options options;
  options.single_precision = precision_ == "float32";
  options.single_precision_bars = settings_.bars_precision == "float32";
  options.threads = settings_.threads;
  options.device = device.number;
  if (device.number >= 0) use_device(device, options);
  try {
    engine_ = lmp_uq::Engine::make(file_->header().at("backbone").at("architecture"), file_->section("backbone"), options);
  } catch (const std::runtime_error &failure) {
    throw lmp_uq::NotNative(failure.what());
  }
  keeps_lists_ = dynamic_cast<lmp_uq::ListEngine *>(engine_.get());
  pulls_ = lmp_uq::EdgePulls(engine_->n_threads());
  if (engine_->shape().n_features() != head_->n_descriptors())
    throw std::runtime_error("header key 'backbone.n_features' is " + std::to_string(head_->n_descriptors()) + "; the architecture gives " +
                             std::to_string(engine_->shape().n_features()));
}

std::size_t NativeEvaluator::make_tables(std::shared_ptr<lmp_uq::TableStore> store)
{
  engine_->prepare(elements_, store);
  shared_elsewhere_ = store->rank() > 0 ? static_cast<double>(engine_->table_bytes()) : 0.0;
  return engine_->table_bytes();
}

lmp_uq::AtomGraph NativeEvaluator::atom_graph(const uq_graph &graph)
{
  const int n_nodes = graph.n_local + graph.n_ghost;
  node_elements_.resize(n_nodes);
  for (int i = 0; i < n_nodes; i++) node_elements_[i] = elements_[graph.species[i]];
  return {graph.n_local, n_nodes, node_elements_.data(), graph.n_edges, graph.centres, graph.neighbours, graph.vectors,
          {graph.list, graph.n_sites, graph.node_of_site, graph.site_of_node, graph.site_of_edge, graph.positions}};
}

void NativeEvaluator::pull(const uq_graph &graph, int n, const lmp_uq::ListEngine::PullWeights &weights, const lmp_uq::Pulled &out)
{
  if (!has_derivatives_) throw std::runtime_error("no derivatives were kept");
  if (keeps_lists_) return keeps_lists_->pull_to(*state_, graph.exchange, n, weights, out);
  engine_->pull(*state_, graph.exchange, n, weights.energies, weights.descriptors, pulls_.gradients(graph, n, out));
  pulls_.add_up(graph, n, out);
}

void NativeEvaluator::evaluate(const uq_graph &graph, bool keep, double *energies, const lmp_uq::Pulled &out)
{
  has_derivatives_ = false;
  state_.reset();
  const lmp_uq::AtomGraph atoms = atom_graph(graph);
  species_.assign(graph.species, graph.species + graph.n_local);
  energies_.resize(graph.n_local + 1);    // never empty: a rank without atoms still hands pointers over
  weights_.assign(graph.n_local + 1, 1.0);
  state_ = engine_->evaluate(atoms, graph.exchange, true, energies_.data(), bars_->take_descriptors(graph.n_local));
  has_derivatives_ = true;
  pull(graph, 1, {weights_.data(), nullptr, nullptr, nullptr}, out);
  std::copy_n(energies_.data(), graph.n_local, energies);
  if (!keep && bars_->on_device()) state_->forget_derivatives();
  if (!keep && !bars_->on_device()) state_.reset();
  has_derivatives_ = keep;
  bars_->take(state_.get(), species_, energies_);
}

void NativeEvaluator::feature_sum_of(const uq_graph &graph, double *sum)
{
  if (!bars_->on_device()) other_descriptors_.resize(static_cast<std::size_t>(graph.n_local) * head_->n_descriptors() + 1);
  double *const descriptors = bars_->on_device() ? nullptr : other_descriptors_.data();
  const auto state = engine_->evaluate(atom_graph(graph), graph.exchange, false, nullptr, descriptors);
  bars_->feature_sum_of(state.get(), descriptors, sum);
}

// pulls of corrections by n times P coefficients, the next ones after a stride, each atom's times its weight (n, n_local)
void NativeEvaluator::correct(const uq_graph &graph, int n, const double *coefficients, std::size_t stride,
                              const lmp_uq::Pulled &out, const double *weights)
{
  const std::size_t width = head_->n_descriptors(), n_local = species_.size();
  if (keeps_lists_) {
    weights_.clear();
    for (int k = 0; k < n; k++) weights_.insert(weights_.end(), coefficients + k * stride, coefficients + k * stride + width);
    return pull(graph, n, {nullptr, nullptr, weights_.data(), weights}, out);
  }
  weights_.assign(n * n_local * width + 1, 0.0);
  for (int k = 0; k < n; k++)
    for (std::size_t i = 0; i < n_local; i++)
      for (std::size_t p = 0; p < width; p++)
        weights_[(k * n_local + i) * width + p] = (weights ? weights[k * n_local + i] : 1.0) * coefficients[k * stride + p];
  pull(graph, n, {nullptr, weights_.data(), nullptr, nullptr}, out);
}

// one stack, in which every atom has weights of its own where members of the P-readout are
void NativeEvaluator::pull_members(const uq_graph &graph, int first, int n, const lmp_uq::Pulled &out)
{
  const int n_linear = std::max(std::min(first + n, head_->n_force_members()) - first, 0);
  if (n_linear == n) return correct(graph, n, head_->force_member(first), head_->n_descriptors(), out);
  const std::size_t width = head_->n_descriptors(), n_local = species_.size();
  weights_.resize(n * n_local * width + 1);
  for (std::size_t row = 0; row < n_linear * n_local; row++)
    std::copy_n(head_->force_member(first + static_cast<int>(row / n_local)), width, weights_.data() + row * width);
  readout_->slopes(n_local, bars_->descriptors(), first + n_linear - head_->n_force_members(), n - n_linear,
                   weights_.data() + n_linear * n_local * width);
  pull(graph, n, {nullptr, weights_.data(), nullptr, nullptr}, out);
}

void NativeEvaluator::energy_gradients(const uq_graph &graph, int member, int n_sets, const double *weights, double *gradients)
{
  const lmp_uq::Pulled out = {gradients, nullptr, nullptr};
  if (member >= head_->n_force_members()) return weigh_readout(graph, member - head_->n_force_members(), n_sets, weights, out);
  if (member != OF_MODEL) return correct(graph, n_sets, head_->force_member(member), 0, out, weights);
  pull(graph, n_sets, {weights, nullptr, nullptr, nullptr}, out);
}

void NativeEvaluator::weigh_readout(const uq_graph &graph, int member, int n_sets, const double *of_atoms, const lmp_uq::Pulled &out)
{
  const std::size_t width = head_->n_descriptors(), n_local = species_.size();
  std::vector<double> slopes(n_local * width + 1);
  readout_->slopes(n_local, bars_->descriptors(), member, 1, slopes.data());
  weights_.resize(n_sets * n_local * width + 1);
  for (std::size_t row = 0; row < n_sets * n_local; row++)
    for (std::size_t p = 0; p < width; p++) weights_[row * width + p] = of_atoms[row] * slopes[row % n_local * width + p];
  pull(graph, n_sets, {nullptr, weights_.data(), nullptr, nullptr}, out);
}

void NativeEvaluator::pull_grades(const uq_graph &graph, const double *factors, const lmp_uq::Pulled &out)
{
  weights_.resize(species_.size() * head_->n_descriptors() + 1);
  bars_->grade_slopes(factors, weights_.data());
  pull(graph, 1, {nullptr, weights_.data(), nullptr, nullptr}, out);
}

double NativeEvaluator::pull_total_std(const uq_graph &graph, const double *sum, const lmp_uq::Pulled &out)
{
  std::vector<double> slope(head_->n_descriptors());
  const double std = head_->total_std_slope(sum, slope.data());
  correct(graph, 1, slope.data(), 0, out);
  return std;
}

void NativeEvaluator::per_atom(int field, const uq_force_variables *variables, double threshold, double *column)
{
  if (lmp_uq::FIELDS[field].of_force) return bars_->of_force(field, *variables, threshold, column);
  std::copy_n(field == UQ_GRADE ? bars_->grades() : bars_->energy_bar(field), species_.size(), column);
}

double NativeEvaluator::memory_usage()
{
  const std::size_t step = state_ ? state_->n_bytes() : 0;
  return static_cast<double>(file_->n_bytes() + head_->n_bytes() + engine_->n_bytes() + bars_->n_bytes() + pulls_.n_bytes() + step) - shared_elsewhere_ +
      (readout_ ? readout_->n_bytes() : 0) +
      lmp_uq::bytes_of(species_, node_elements_, energies_, weights_, other_descriptors_);
}

}    // namespace

std::unique_ptr<lmp_uq::Evaluator> lmp_uq::make_native_evaluator(const Settings &settings)
{
  return std::make_unique<NativeEvaluator>(settings);
}
