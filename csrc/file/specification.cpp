// SPDX-License-Identifier: GPL-2.0-or-later
#include "file/specification.h"

#include "file/classifiers.h"
#include "file/p_readout_entries.h"
#include "file/rules.h"

#include <algorithm>
#include <stdexcept>

namespace lmp_uq {
namespace {

using namespace rules;

constexpr Presence REQUIRED = Presence::Required, OR_NULL = Presence::OrNull, OR_ABSENT = Presence::OrAbsent;
constexpr Presence OR_NEITHER = Presence::OrNullOrAbsent;
constexpr const Rule *FREE = nullptr;
constexpr char PER_DESCRIPTOR[] = "eV per unit of its column", FORCE[] = "eV/Angstrom";

const std::string &family(const Json &header) { return header.at("backbone").at("family").string(); }
bool is_snap(const Json &header) { return family(header) == "snap"; }
bool is_compute(const Json &header) { return family(header) == "compute"; }
bool is_linear(const Json &header) { return family(header) != "mace"; }
bool has_inner_switch(const Json &header)
{
  return is_snap(header) && find_path(header, "backbone.architecture.parameters.switchinnerflag")->digits() == "1";
}

// files of before there were several levels have plain numbers
bool has_one_level(const Json &header)
{
  const Json *found = find_path(header, "calibration.force_error");
  return !found->has("version") && (found->has("level") || found->has("factor") || !found->has("levels"));
}
bool states_version(const Json &header) { return find_path(header, "calibration.force_error")->has("version"); }
bool has_levels(const Json &header) { return !has_one_level(header) && !states_version(header); }
bool is_of_mean_grade(const Json &header) { return find_path(header, "calibration.energy_error")->has("variable"); }
bool is_of_std(const Json &header) { return !is_of_mean_grade(header); }

bool has_posterior(const Json &header) { return is_given(header.find("posterior")); }
bool has_grade(const Json &header) { return is_given(header.find("grade")); }
bool has_network(const Json &header) { return is_given(find_path(header, "calibration.quantile_network")); }
bool has_force_members(const Json &header) { return has_posterior(header) && length("M", header) != 0; }

HeaderBlock scaled_error(const char *key, const char *form, bool (*has_form)(const Json &))
{
  return {key, form, has_form, {
    {"factor", &NUMBER, REQUIRED, "", "the bar is the factor times the root mean square of x.Theta over the box; >= 0"},
    {"conservative_factor", &NUMBER, REQUIRED, "", "at least `factor`"},
    {"level", &NUMBER, REQUIRED, "", "coverage that they aim at"},
    {"n_groups", &NUMBER, REQUIRED, "", "calibration groups"},
    {"n_blocks", &NUMBER, REQUIRED, "", "calibration frames"},
    {"leave_one_group_out", FREE, OR_ABSENT, "", "of each group left out: the figures of its bars"}}};
}

// clang-format off
const std::vector<HeaderBlock> BLOCKS = {
  {"", "", nullptr, {
    {"format", &FORMAT, REQUIRED, "", "what this is"},
    {"format_version", &VERSION, REQUIRED, "", "see [versioning](#versioning)"},
    {"elements", &ELEMENTS, REQUIRED, "", "Z of them, in the order of every element axis below"},
    {"cutoff", &POSITIVE, REQUIRED, "Angstrom", "longest edge of the graph"},
    {"units", &UNITS, REQUIRED, "", "those of all numbers in the file"},
    {"precision", &PRECISION, REQUIRED, "", "arithmetic of the network unless the user asks for another"},
    {"backbone", &OBJECT, REQUIRED, "", "the model"},
    {"posterior", &OBJECT, OR_NULL, "", "how the ensemble was fitted"},
    {"grade", &OBJECT, OR_NULL, "", "how the grade was fitted: `percentile`, `folds`, `elements`; free"},
    {"calibration", &OBJECT, OR_NULL, "", "factors of the bars"},
    {"provenance", &OBJECT, REQUIRED, "", "where all of it comes from"}}},
  {"backbone", "", nullptr, {
    {"family", &FAMILY, REQUIRED, "", "`snap` and `compute` are [linear potentials](#linear-potentials)"},
    {"architecture", &OBJECT, REQUIRED, "", "what to build"},
    {"n_features", &FROM_ONE, REQUIRED, "", "P, descriptors of an atom"},
    {"n_parameters", &ANY_COUNT, REQUIRED, "", "at most the count of numbers in the tensors `backbone/*`"}}},
  {"posterior", "", nullptr, {
    {"n_features", &AS_FEATURES, REQUIRED, "", "P"},
    {"n_modes", &FROM_ZERO, REQUIRED, "", "R"},
    {"n_members", &FROM_ZERO, REQUIRED, "", "K"},
    {"n_force_members", &FROM_ZERO, OR_ABSENT, "", "M; absent means 0"},
    {"bias", &BIAS, REQUIRED, "", "B = 0, 1 or Z columns after the descriptors"},
    {"ridge", FREE, REQUIRED, "", "relative ridge, or how it was chosen: `\"auto\"`, `\"evidence\"` or `\"groups\"`"},
    {"leverage_floor", FREE, REQUIRED, "", "relative leverage floor"},
    {"rows", FREE, REQUIRED, "", "kinds of labels that were fitted"},
    {"counts", FREE, REQUIRED, "", "of frames, and of rows and rows below the floor by kind and group"},
    {"axes", FREE, OR_ABSENT, "", "`scaled` or `given`: the space of the box's principal axes, see [linear potentials](linear.md#axes-of-the-box)"},
    {"kind_weight", FREE, OR_ABSENT, "", "mean weight of a row of `energy`, `forces`, `stress`"},
    {"ridge_relative", FREE, OR_ABSENT, "", "the ridge as a number"},
    {"floors_tried", FREE, OR_ABSENT, "", "`floor` and `std_over_rmse` of each"},
    {"n_force_rows", FREE, OR_ABSENT, "", "most rows of forces of a frame; null for all"},
    {"seed", FREE, OR_ABSENT, "", "of the draws"},
    {"dof", FREE, OR_ABSENT, "", "effective number of parameters"},
    {"energy_offsets", FREE, OR_ABSENT, "eV", "of each element, labels less model"},
    {"p_readout", &OBJECT, OR_NEITHER, "", "[learned members](uncertainty.md#p-readout) beside POPS"}}},
  {"calibration", "", nullptr, {
    {"force_error", &OBJECT, OR_NEITHER, "", "needs `grade`"},
    {"energy_error", &OBJECT, OR_NEITHER, "", "of the energy per atom"},
    {"stress_error", &OBJECT, OR_NEITHER, "", "of a virial component per atom"},
    {"quantile_network", &OBJECT, OR_NEITHER, "", "the [learned quantile](calibrate.md#the-learned-quantile); needs `force_error`"},
    {"probe", &OBJECT, OR_NEITHER, "", "[classifier](reliability.md) of frames"},
    {"ordinal", &OBJECT, OR_NEITHER, "", "[classifier](reliability.md) of atoms; needs `force_error` of version 2"},
    {"leave_one_group_out", FREE, OR_ABSENT, "", "of `force_error`: [figures](validate.md#force_error-by-group) of each group left out"},
    {"per_element", FREE, OR_ABSENT, "", "the factor at level 0.9 that an element alone would need"},
    {"in_sample", FREE, OR_ABSENT, "", "whether frames with another role were accepted"},
    {"energy_offsets", FREE, OR_ABSENT, "eV", "as in `posterior`, of the calibration frames"},
    {"adaptations", &LIST, OR_ABSENT, "", "of `force_error` to a few frames: `n_frames`, `factor` and what else was found"}}},
  {"calibration.force_error", "version 2", states_version, {
    {"version", &EXACTLY_2, REQUIRED, "", "of the formula"},
    {"intercept", &NUMBER, REQUIRED, "", "b0 of the [formula](uncertainty.md#force_error), for forces in eV/Angstrom"},
    {"force_slope", &NOT_NEGATIVE, REQUIRED, "", "bF"},
    {"grade_slope", &NOT_NEGATIVE, REQUIRED, "", "bg"},
    {"known_slope", &NOT_NEGATIVE, REQUIRED, "", "bl"},
    {"new_slope", &NOT_NEGATIVE, REQUIRED, "", "bh"},
    {"correction_slope", &NOT_NEGATIVE, REQUIRED, "", "bm, of the force of the posterior's mean correction; above 0 it needs `posterior`"},
    {"quantiles", &CURVE, REQUIRED, "", "of the log residuals, in steps of 0.01"},
    {"conservative_quantiles", &CURVE, REQUIRED, "", "likewise, none below its quantile"},
    {"levels", &PERCENTS, REQUIRED, "", "coverages that have a bar"},
    {"group_means", &NUMBERS_BY_NAME, REQUIRED, "", "mean log residual of each calibration group, under coefficients of the others"},
    {"spread", &NOT_NEGATIVE, REQUIRED, "", "their standard deviation"},
    {"n_blocks", &NOT_NEGATIVE, REQUIRED, "", "independent frames of the calibration"},
    {"force_offset", &EXACTLY_0_01, REQUIRED, FORCE, "in the logarithm of the force"},
    {"grade_offset", &EXACTLY_0_05, REQUIRED, "", "in the logarithm of the grades"},
    {"error_offset", &EXACTLY_0_005, REQUIRED, FORCE, "in the logarithm of the error"},
    {"least_bar", &EXACTLY_0_01, REQUIRED, FORCE, "smallest bar"},
    {"power", &EXACTLY_4, REQUIRED, "", "of the grades in the mean over the neighbours"},
    {"hops", &EXACTLY_2, REQUIRED, "", "over which it reaches"}}},
  {"calibration.force_error", "levels, as versions before 0.2 wrote it", has_levels, {
    {"levels", &LEVELS, REQUIRED, "", "L coverages between 0 and 1, rising"},
    {"intercept", &NUMBER, REQUIRED, "", "b0 of the [formula](uncertainty.md#force_error), for forces in eV/Angstrom"},
    {"force_exponent", &NUMBER, REQUIRED, "", "bF"},
    {"grade_exponent", &NUMBER, REQUIRED, "", "bG"},
    {"n_groups", &NUMBER, REQUIRED, "", "calibration groups, >= 1"},
    {"n_blocks", &NUMBER, REQUIRED, "", "independent frames or atoms behind the factors; 0 if unknown"},
    {"floor_exponent", &NUMBER, OR_ABSENT, "", "fG, >= 0; absent means 0"},
    {"least_bar", &NUMBER, OR_ABSENT, FORCE, "smallest bar, >= 0; absent means 0"},
    {"factors", &NUMBERS_OF_LEVELS, REQUIRED, "", "not falling, >= 0"},
    {"conservative_factors", &NUMBERS_OF_LEVELS, REQUIRED, "", "not falling, none below its factor"},
    {"floors", &NUMBERS_OF_LEVELS, REQUIRED, FORCE, "not falling, >= 0"}}},
  {"calibration.force_error", "one level, as version 0.1.0 wrote it", has_one_level, {
    {"intercept", &NUMBER, REQUIRED, "", "as above"},
    {"force_exponent", &NUMBER, REQUIRED, "", "as above"},
    {"grade_exponent", &NUMBER, REQUIRED, "", "as above"},
    {"n_groups", &NUMBER, REQUIRED, "", "as above"},
    {"factor", &NUMBER, REQUIRED, "", "at that level"},
    {"conservative_factor", &NUMBER, REQUIRED, "", "at that level"},
    {"floor", &NUMBER, REQUIRED, FORCE, "at that level"},
    {"level", &NUMBER, REQUIRED, "", "coverage between 0 and 1"},
    {"floor_exponent", &NUMBER, OR_ABSENT, "", "as above"},
    {"least_bar", &NUMBER, OR_ABSENT, FORCE, "as above"}}},
  scaled_error("calibration.energy_error", "of the std", is_of_std),
  {"calibration.energy_error", "of the mean grade", is_of_mean_grade, {
    {"variable", &MEAN_GRADE, REQUIRED, "", "needs `grade`"},
    {"intercept", &NUMBER, REQUIRED, "", "b0 of the [formula](uncertainty.md#energy_error-and-stress_error), for energies in eV/atom"},
    {"slope", &NOT_NEGATIVE, REQUIRED, "", "bg"},
    {"quantile", &NUMBER, REQUIRED, "", "c"},
    {"conservative_quantile", &NUMBER, REQUIRED, "", "at least `quantile`"},
    {"level", &NUMBER, REQUIRED, "", "coverage that they aim at"},
    {"spread", &NOT_NEGATIVE, REQUIRED, "", "standard deviation of the mean log error between groups"},
    {"n_groups", &NUMBER, REQUIRED, "", "calibration groups"},
    {"n_blocks", &NUMBER, REQUIRED, "", "calibration frames"},
    {"grade_offset", &EXACTLY_0_05, REQUIRED, "", "in the logarithm of the grade"},
    {"energy_offset", &EXACTLY_0_0005, REQUIRED, "eV/atom", "in the logarithm of the error"},
    {"leave_one_group_out", FREE, OR_ABSENT, "", "of each group left out: the figures of its bars"}}},
  scaled_error("calibration.stress_error", "", nullptr),
  {"calibration.quantile_network", "", nullptr, {
    {"n_features", &AS_FEATURES, REQUIRED, "", "P"},
    {"levels", &LEVELS, REQUIRED, "", "L coverages between 0 and 1, rising"},
    {"hidden", &HIDDEN, REQUIRED, "", "H1 and H2, widths of the hidden layers"},
    {"n_variables", &ONE_OR_THREE, OR_ABSENT, "", "V, inputs beside the descriptor: 3, or 1 in files before 0.2; absent means 1"}}},
  {"provenance", "", nullptr, {
    {"command", &TEXT, REQUIRED, "", "command line that made the file"},
    {"versions", &OBJECT, REQUIRED, "", "package to version"},
    {"licence", &TEXT, REQUIRED, "", "of the model and its data"},
    {"data", &SOURCES, REQUIRED, "", "files of the frames; path is the name without folders"},
    {"roles", &OBJECT, REQUIRED, "", "of each group of frames:"},
    {"roles.*", &FRAMES_OF_ROLES, REQUIRED, "", "roles that `lmp-uq` writes: `backbone_training`, `posterior`, `calibration`, `test`"}}},
  {"backbone.architecture", "snap", is_snap, {
    {"parameters", &OBJECT, REQUIRED, "", "of compute sna/atom:"},
    {"parameters.rcutfac", &NUMBER, REQUIRED, "", ""},
    {"parameters.twojmax", &TWOJMAX, REQUIRED, "", ""},
    {"parameters.rfac0", &NUMBER, REQUIRED, "", ""},
    {"parameters.rmin0", &NUMBER, REQUIRED, "Angstrom", ""},
    {"parameters.switchflag", &FLAG, REQUIRED, "", ""},
    {"parameters.bzeroflag", &FLAG, REQUIRED, "", ""},
    {"parameters.quadraticflag", &FLAG, REQUIRED, "", ""},
    {"parameters.chemflag", &FLAG, REQUIRED, "", ""},
    {"parameters.bnormflag", &FLAG, REQUIRED, "", ""},
    {"parameters.wselfallflag", &FLAG, REQUIRED, "", ""},
    {"parameters.switchinnerflag", &FLAG, REQUIRED, "", ""},
    {"radii", &NUMBERS_OF_ELEMENTS, REQUIRED, "", "of the elements"},
    {"weights", &NUMBERS_OF_ELEMENTS, REQUIRED, "", "of the elements"}}},
  {"backbone.architecture", "snap with switchinnerflag 1", has_inner_switch, {
    {"sinner", &NUMBERS_OF_ELEMENTS, REQUIRED, "Angstrom", "of the inner switch"},
    {"dinner", &NUMBERS_OF_ELEMENTS, REQUIRED, "Angstrom", "of the inner switch"}}},
  {"backbone.architecture", "compute", is_compute, {
    {"cutoff", &POSITIVE, REQUIRED, "Angstrom", "of the descriptors"},
    {"computes", &OBJECT, REQUIRED, "", "what follows `compute ID all`, with one space before each word:"},
    {"computes.descriptors", &COMPUTE, REQUIRED, "", "n columns"},
    {"computes.gradient", &COMPUTE_OR_NOTHING, REQUIRED, "", "their derivatives by positions, or an empty text"},
    {"computes.virial", &COMPUTE_OR_NOTHING, REQUIRED, "", "their derivatives by strain, or an empty text"},
    {"files", &FILES, REQUIRED, "", "names that these words use, at most 100 letters, digits and `_.+-`, not beginning with a dot, to the texts of the files"},
    {"pair", &PAIR, REQUIRED, "", "style that runs the potential: letters, digits and `_/`"}}},
  {"backbone.architecture", "snap and compute", is_linear, {
    {"reference", &OBJECT, REQUIRED, "", "pair styles beneath the linear potential:"},
    {"reference.styles", &REFERENCE_TEXTS, REQUIRED, "", "what follows `pair_style hybrid/overlay`"},
    {"reference.coefficients", &REFERENCE_TEXTS, REQUIRED, "", "what follows `pair_coeff`"},
    {"reference.styles.*", &REFERENCE_STYLE, REQUIRED, "", ""}}}};

const std::vector<TensorEntry> TENSORS = {
  {"backbone/<name>", {}, "any", nullptr, "", "network state, by the names of its own state dict"},
  {"backbone/coefficients", {"P + Z"}, "float64", is_linear, PER_DESCRIPTOR, "of a [linear potential](#linear-potentials): Theta*, blocks of the elements, then a constant for each"},
  {"posterior/coefficients", {"P'"}, "float64", has_posterior, PER_DESCRIPTOR, "Theta*"},
  {"posterior/modes", {"P'", "R"}, "float64", has_posterior, "", "V; a member is Theta* + V u"},
  {"posterior/lower", {"R"}, "float64", has_posterior, "", "lower end of u"},
  {"posterior/upper", {"R"}, "float64", has_posterior, "", "upper end of u, nowhere below lower"},
  {"posterior/members", {"K", "P'"}, "float64", has_posterior, PER_DESCRIPTOR, "K draws from the box, one Theta per row; a run with n members uses the first n"},
  {"posterior/force_members", {"M", "P'"}, "float64", has_force_members, PER_DESCRIPTOR, "M independent draws from the box; a run with n force members uses the first n; not there where M is 0"},
  {"posterior/leverage_factor", {"P'", "any"}, "float64", nullptr, "", "L, see below; may be missing"},
  {"grade/mean", {"Z", "P"}, "float64", has_grade, "", "mean descriptor of an element's training atoms"},
  {"grade/radius", {"Z"}, "float64", has_grade, "", "distance that has grade 1, above 0; nan for an element without training atoms, whose mean and whitening mean nothing"},
  {"grade/whitening", {"Z", "P", "P"}, "float64", has_grade, "", "W; an atom's distance is the norm of W (D - mean)"},
  {"calibration/quantile_network/input_mean", {"P + V"}, "float64", has_network, "", "of the descriptors, log(abs(F) + 0.01) and, with V = 3, log(grade + 0.05), log(grade of the neighbours + 0.05)"},
  {"calibration/quantile_network/input_scale", {"P + V"}, "float64", has_network, "", "likewise"},
  {"calibration/quantile_network/weight_0", {"H1", "P + V"}, "float64", has_network, "", "first layer"},
  {"calibration/quantile_network/bias_0", {"H1"}, "float64", has_network, "", "first layer"},
  {"calibration/quantile_network/weight_1", {"H2", "H1"}, "float64", has_network, "", "second layer"},
  {"calibration/quantile_network/bias_1", {"H2"}, "float64", has_network, "", "second layer"},
  {"calibration/quantile_network/weight_2", {"L", "H2"}, "float64", has_network, "", "last layer: log q of the first level, then steps through softplus"},
  {"calibration/quantile_network/bias_2", {"L"}, "float64", has_network, "", "last layer"},
  {"calibration/quantile_network/lower", {"L"}, "float64", has_network, "", "least log q over the training atoms, q in eV/Angstrom"},
  {"calibration/quantile_network/upper", {"L"}, "float64", has_network, "", "largest log q over the training atoms"},
  {"calibration/quantile_network/factors", {"L"}, "float64", has_network, "", "conformal factors"},
  {"roles/<role>", {"frames"}, "uint64", nullptr, "", "content hash of every frame in this role, repeated frames included: as many as `provenance.roles` counts"}};
// clang-format on

std::size_t bias_columns(const Json &header)
{
  const std::string &bias = find_path(header, "posterior.bias")->string();
  return bias == "none" ? 0 : bias == "constant" ? 1 : length("Z", header);
}

}    // namespace

const std::vector<HeaderBlock> &header_blocks()
{
  static const std::vector<HeaderBlock> all = with_p_readout(with_classifiers(BLOCKS));
  return all;
}

const std::vector<TensorEntry> &tensor_entries()
{
  static const std::vector<TensorEntry> all = with_p_readout(with_classifiers(TENSORS));
  return all;
}

const std::vector<std::string> &tensor_sections()
{
  static const std::vector<std::string> sections = {"backbone/", "posterior/", "grade/", "calibration/", "roles/"};
  return sections;
}

std::size_t length(const std::string &symbol, const Json &header)
{
  if (symbol == "Z") return header.at("elements").array().size();
  if (symbol == "P") return count_at(header, "backbone.n_features");
  if (symbol == "P + Z") return length("P", header) + length("Z", header);
  if (symbol == "P'") return length("P", header) + bias_columns(header);
  if (symbol == "R") return count_at(header, "posterior.n_modes");
  if (symbol == "K") return count_at(header, "posterior.n_members");
  if (symbol == "M") return count_at(header, "posterior.n_force_members");
  if (const std::size_t found = classifier_length(symbol, header) + p_readout_length(symbol, header)) return found;
  const Json &network = *find_path(header, "calibration.quantile_network");
  if (symbol == "P + V") return length("P", header) + (network.has("n_variables") ? network.at("n_variables").integer() : 1);
  if (symbol == "L") return network.at("levels").array().size();
  if (symbol == "H1" || symbol == "H2") return network.at("hidden").array()[symbol == "H2"].integer();
  throw std::logic_error("specification: no length is called " + symbol);
}

std::size_t count_at(const Json &header, const std::string &path)
{
  const Json *found = find_path(header, path);
  return found ? static_cast<std::size_t>(found->integer()) : 0;
}

bool is_given(const Json *value) { return value && !value->is_null(); }

const Json *find_path(const Json &value, const std::string &path)
{
  const Json *found = &value;
  for (std::size_t begin = 0; found && begin < path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    found = found->find(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return found;
}

}    // namespace lmp_uq
