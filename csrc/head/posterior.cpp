// SPDX-License-Identifier: GPL-2.0-or-later
#include "head/posterior.h"

#include "base/threads.h"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace lmp_uq {
namespace {

constexpr int BLOCK = PackedMatrix::BLOCK;

// how many to use of those in the file; `unless` where the user does not say
int in_use(const char *what, int asked, long held, long unless)
{
  if (asked > held) throw std::runtime_error(std::string(what) + " " + std::to_string(asked) + " asked for, the file holds " + std::to_string(held));
  return static_cast<int>(asked ? asked : std::min(held, unless));
}

const Json *given(const Json &table, const char *key)
{
  const Json *entry = table.find(key);
  return entry && !entry->is_null() ? entry : nullptr;
}

double factor(const Json &calibration, const char *name, bool conservative)
{
  const Json *entry = given(calibration, name);
  return entry ? entry->at(conservative ? "conservative_factor" : "factor").number() : 0.0;
}

EnergyBar energy_bar_of(const Json &calibration, bool conservative)
{
  EnergyBar out;
  const Json *entry = given(calibration, "energy_error");
  if (!entry || !entry->has("variable")) {
    out.factor = factor(calibration, "energy_error", conservative);
    return out;
  }
  out.of_mean_grade = true;
  out.intercept = entry->at("intercept").number() + entry->at(conservative ? "conservative_quantile" : "quantile").number();
  out.slope = entry->at("slope").number();
  return out;
}

}    // namespace

Posterior::Posterior(const ModelFile &file, const std::vector<int> &elements, const PosteriorOptions &options)
    : n_descriptors_(static_cast<int>(file.header().at("backbone").at("n_features").integer())), elements_(elements),
      conservative_(options.conservative)
{
  read_posterior(file, options);
  if (!file.header().at("grade").is_null()) novelty_ = std::make_unique<Novelty>(file.section("grade"), elements);
  read_calibration(file, options);
  use_threads(1);
}

void Posterior::use_threads(int n)
{
  const int width = std::max({PackedMatrix::padded(n_descriptors_), box_ ? box_->stride() : 0, network_ ? network_->width() : 0,
                              ordinal_ ? ordinal_->width() : 0});
  scratch_.resize(n);
  for (Scratch &s : scratch_) {
    s.in.zero(static_cast<std::size_t>(BLOCK) * width);
    s.out.zero(static_cast<std::size_t>(BLOCK) * width);
  }
}

// work(first, last, scratch) on parts of n rows
template <class F> void Posterior::share_out(std::size_t n, const F &work)
{
  const std::size_t n_threads = scratch_.size();
  in_parallel(static_cast<int>(n_threads), [&](int part) { work(n * part / n_threads, n * (part + 1) / n_threads, scratch_[part]); });
}

void Posterior::read_posterior(const ModelFile &file, const PosteriorOptions &options)
{
  const Json &header = file.header(), &posterior = header.at("posterior");
  const Json *force_members = given(posterior, "n_force_members");
  const long n_held = posterior.is_null() ? 0 : posterior.at("n_members").integer(), n_force = force_members ? force_members->integer() : 0;
  if (!posterior.is_null()) n_members_ = in_use("members", options.n_members, n_held, n_held);
  n_force_members_ = in_use("force_members", options.n_force_members, n_force, FORCE_MEMBERS);
  if (posterior.is_null()) return;
  const int n_elements = static_cast<int>(header.at("elements").array().size());
  const Tensors tensors = file.section("posterior");
  box_ = std::make_unique<Box>(tensors, n_descriptors_, posterior.at("bias").string(), n_elements, n_members_);
  for (int k = 0; k < n_force_members_; k++) {
    const Tensor &members = tensors.at("force_members");
    const double *member = static_cast<const double *>(members.data) + static_cast<std::size_t>(k) * members.shape[1];
    force_members_.insert(force_members_.end(), member, member + n_descriptors_);
  }
}

void Posterior::read_calibration(const ModelFile &file, const PosteriorOptions &options)
{
  const Json &calibration = file.header().at("calibration");
  const Json *network = given(calibration, "quantile_network"), *force_error = given(calibration, "force_error");
  if (options.learned && !network)
    throw std::runtime_error(options.name + " holds no learned quantile: lmp-uq calibrate --learned-quantile adds one; quantile loglinear needs none");
  if (force_error) force_error_ = ForceError::of(*force_error);
  if (options.learned) network_ = std::make_unique<QuantileNetwork>(*network, file.section("calibration/quantile_network"));
  if (const Json *ordinal = given(calibration, "ordinal"))
    ordinal_ = std::make_unique<OrdinalHead>(*ordinal, file.section("calibration/ordinal"));
  energy_error_ = energy_bar_of(calibration, conservative_);
  stress_factor_ = factor(calibration, "stress_error", conservative_);
}

std::vector<int> Posterior::unknown_elements() const
{
  std::vector<int> out;
  for (const int element : std::set<int>(elements_.begin(), elements_.end()))
    if (novelty_ && !novelty_->knows(element)) out.push_back(element);
  return out;
}

HeadMatrices Posterior::matrices() const
{
  HeadMatrices out;
  out.n_descriptors = n_descriptors_;
  if (box_) box_->hand_over(out);
  if (novelty_) novelty_->hand_over(out);
  return out;
}

std::size_t Posterior::n_bytes() const
{
  std::size_t n = bytes_of(force_members_) + (box_ ? box_->n_bytes() : 0) + (novelty_ ? novelty_->n_bytes() : 0) +
      (network_ ? network_->n_bytes() : 0) + (ordinal_ ? ordinal_->n_bytes() : 0);
  for (const Scratch &s : scratch_) n += bytes_of(s.in, s.out);
  return n;
}

void Posterior::energy_bars(std::size_t n, const double *descriptors, const std::int64_t *species, const double *energies, double *std,
                            double *lower, double *upper)
{
  double *const bars[3] = {std, lower, upper};
  share_out(n, [&](std::size_t first, std::size_t last, Scratch &s) { energy_bars(first, last, descriptors, species, energies, s, bars); });
}

void Posterior::energy_bars(std::size_t begin, std::size_t end, const double *descriptors, const std::int64_t *species, const double *energies,
                            Scratch &s, double *const bars[3]) const
{
  int elements[BLOCK];
  for (std::size_t first = begin; first < end; first += BLOCK) {
    const int count = static_cast<int>(std::min<std::size_t>(BLOCK, end - first));
    for (int i = 0; i < count; i++) elements[i] = elements_[std::max<std::int64_t>(species[first + i], 0)];
    box_->bars(count, descriptors + first * n_descriptors_, elements, energies + first, s.out.data(), bars[0] + first, bars[1] + first,
               bars[2] + first);
    for (std::size_t i = first; i < first + count; i++)
      if (species[i] < 0) bars[0][i] = bars[1][i] = bars[2][i] = 0.0;
  }
}

void Posterior::row_std(std::size_t n, const double *rows, double *std)
{
  share_out(n, [&](std::size_t begin, std::size_t end, Scratch &s) {
    for (std::size_t first = begin; first < end; first += BLOCK)
      box_->row_std(static_cast<int>(std::min<std::size_t>(BLOCK, end - first)), rows + first * n_descriptors_, s.out.data(), std + first);
  });
}

template <class F>
void Posterior::by_element(std::size_t first, std::size_t last, const double *descriptors, const std::int64_t *species, const F &work) const
{
  std::size_t atoms[BLOCK];
  Rows rows;
  for (std::size_t s = 0; s < elements_.size(); s++) {
    int count = 0;
    for (std::size_t i = first; i <= last; i++) {
      if (i < last && species[i] == static_cast<std::int64_t>(s)) {
        atoms[count] = i;
        rows[count++] = descriptors + i * n_descriptors_;
      }
      if (count < BLOCK && (i < last || !count)) continue;
      work(elements_[s], count, atoms, rows);
      count = 0;
    }
  }
}

void Posterior::grades(std::size_t n, const double *descriptors, const std::int64_t *species, double *grade)
{
  share_out(n, [&](std::size_t first, std::size_t last, Scratch &s) {
    double grades[BLOCK];
    for (std::size_t i = first; i < last; i++)
      if (species[i] < 0) grade[i] = 0.0;
    by_element(first, last, descriptors, species, [&](int element, int count, const std::size_t *atoms, const double *const *rows) {
      novelty_->grades(element, count, rows, s.in.data(), s.out.data(), grades);
      for (int k = 0; k < count; k++) grade[atoms[k]] = grades[k];
    });
  });
}

void Posterior::grade_slopes(std::size_t n, const double *descriptors, const std::int64_t *species, const double *factors, double *weights)
{
  novelty_->prepare_slopes();
  const std::size_t stride = novelty_->slope_stride();
  share_out(n, [&](std::size_t first, std::size_t last, Scratch &s) {
    double mine[BLOCK];
    std::fill(weights + first * n_descriptors_, weights + last * n_descriptors_, 0.0);
    by_element(first, last, descriptors, species, [&](int element, int count, const std::size_t *atoms, const double *const *rows) {
      for (int k = 0; k < count; k++) mine[k] = factors[atoms[k]];
      novelty_->slopes(element, count, rows, mine, s.in.data(), s.out.data());
      for (int k = 0; k < count; k++) std::copy_n(s.in.data() + k * stride, n_descriptors_, weights + atoms[k] * n_descriptors_);
    });
  });
}

template <class Network, class Answer>
void Posterior::ask(const Network &network, std::size_t n, const double *descriptors, const ForceColumns &variables, const Answer &answer,
                    double *values)
{
  share_out(n, [&](std::size_t first, std::size_t last, Scratch &s) {
    std::size_t atoms[BLOCK];
    Rows rows;
    ForceVariables mine[BLOCK];
    double found[BLOCK];
    int count = 0;
    for (std::size_t i = first; i <= last; i++) {
      if (i < last && network.is_for(variables.of(i))) {
        atoms[count] = i;
        mine[count] = variables.of(i);
        rows[count++] = descriptors + i * n_descriptors_;
      }
      if (count < BLOCK && (i < last || !count)) continue;
      answer(count, rows, mine, s.in.data(), s.out.data(), found);
      for (int k = 0; k < count; k++) values[atoms[k]] = found[k];
      count = 0;
    }
  });
}

void Posterior::force_errors(std::size_t n, const double *descriptors, const std::int64_t *species, const ForceColumns &variables, double level,
                             double *bar)
{
  const int learned = network_ ? network_->position(level) : 0, which = force_error_->position(level);
  const ForceFormula formula = force_error_->bar(which, conservative_);
  share_out(n, [&](std::size_t first, std::size_t last, Scratch &) {
    for (std::size_t i = first; i < last; i++) bar[i] = value_of(formula, variables.of(i));
  });
  if (network_) ask(*network_, n, descriptors, variables, [&](auto... of) { network_->bars(learned, of...); }, bar);
  for (std::size_t i = 0; i < n; i++)
    if (species[i] < 0) bar[i] = 0.0;
}

void Posterior::errors_above(std::size_t n, const std::int64_t *species, const ForceColumns &variables, double threshold,
                             double *probability)
{
  const ForceFormula formula = above_formula(threshold);
  share_out(n, [&](std::size_t first, std::size_t last, Scratch &) {
    for (std::size_t i = first; i < last; i++) probability[i] = species[i] < 0 ? 0.0 : value_of(formula, variables.of(i));
  });
}

const std::vector<double> &Posterior::thresholds() const
{
  static const std::vector<double> none;
  return ordinal_ && has_quantiles() ? ordinal_->thresholds() : none;
}

void Posterior::reliabilities(std::size_t n, const double *descriptors, const std::int64_t *species, const ForceColumns &variables,
                              double threshold, double *probability)
{
  if (thresholds().empty())
    throw std::runtime_error("reliability: the file holds no ordinal head; lmp-uq calibrate --classifier ordinal adds one");
  const double above = threshold == 0.0 ? ordinal_->middle() : threshold;
  const int which = ordinal_->position(above);
  errors_above(n, species, variables, above, probability);
  ask(*ordinal_, n, descriptors, variables, [&](auto... of) { ordinal_->above(which, of...); }, probability);
  for (std::size_t i = 0; i < n; i++) probability[i] = species[i] < 0 ? 0.0 : 1.0 - probability[i];
}

void Posterior::feature_sum(std::size_t n, const double *descriptors, const std::int64_t *species, double *sum) const
{
  std::fill(sum, sum + n_features(), 0.0);
  for (std::size_t i = 0; i < n; i++) {
    if (species[i] < 0) continue;
    const double *row = descriptors + i * n_descriptors_;
    for (int p = 0; p < n_descriptors_; p++) sum[p] += row[p];
  }
  add_bias(n, species, sum);
}

void Posterior::add_bias(std::size_t n, const std::int64_t *species, double *sum) const
{
  for (std::size_t i = 0; i < n; i++)
    if (species[i] >= 0) box_->add_bias(elements_[species[i]], sum);
}

void Posterior::totals(const double *sum, double energy, double std_lower_upper[3])
{
  box_->totals(sum, energy, scratch_[0].out.data(), std_lower_upper);
}

void Posterior::member_energies(const double *sum, double energy, double *energies) const { box_->member_energies(sum, energy, energies); }

}    // namespace lmp_uq
