// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/architecture.h"

#include "formulas/hd.h"
#include "formulas/paths.h"
#include "base/text.h"

#include <algorithm>
#include <cctype>
#include <stdexcept>
#include <utility>

namespace lmp_uq {

namespace {

constexpr int MAX_CHANNELS = 4096, MAX_HEADS = 1000;    // counts are multiplied with one another
constexpr int MAX_ATOMIC_NUMBER = 118;
constexpr const char *NONLINEAR = "RealAgnosticResidualNonLinearInteractionBlock";

[[noreturn]] void refuse(const std::string &feature, const std::string &found, const std::string &accepted)
{
  throw std::runtime_error("native engine: " + feature + " is " + piece(found) + "; accepted: " + accepted);
}

// of the digits before an x; 0: no number, or too large
int channels(const std::string &digits)
{
  if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos) return 0;
  const int n = std::stoi(digits);
  return n > MAX_CHANNELS ? 0 : n;
}

// "8x0e+4x2e": channels of each degree, 8, 0, 4; of natural parity, in the order of their degrees. Nothing of other irreps.
std::vector<int> channels_by_degree(const std::string &text)
{
  std::vector<int> out;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('+', begin), text.size());
    std::string term;
    for (char c : text.substr(begin, end - begin))
      if (!std::isspace(static_cast<unsigned char>(c))) term += c;
    begin = end + 1;
    const std::size_t times = term.find('x');
    const int n = times == std::string::npos ? 1 : channels(term.substr(0, times));
    const std::string irrep = term.substr(times == std::string::npos ? 0 : times + 1);
    int degree = static_cast<int>(out.size());
    while (degree <= MAX_FEATURE_DEGREE && irrep != std::to_string(degree) + (degree % 2 ? "o" : "e")) ++degree;
    if (degree > MAX_FEATURE_DEGREE || n < 1) return {};
    out.resize(degree, 0);
    out.push_back(n);
  }
  return out;
}

const std::string LIMITS = "at most " + std::to_string(MAX_CHANNELS) + ", degrees 0 to " + std::to_string(MAX_FEATURE_DEGREE) +
    ", parities e, o, e";

struct Irreps {
  int n_channels, degree;
};

// "8x0e+8x1o": equally many channels of every degree 0..L
Irreps channels_and_degree(const Json &header, const std::string &key)
{
  const std::string &text = header.at(key).string();
  const std::vector<int> counts = channels_by_degree(text);
  if (counts.empty() || std::any_of(counts.begin(), counts.end(), [&](int n) { return n != counts[0]; }))
    refuse(key, "'" + text + "'", "irreps like 128x0e+128x1o: equal channels, " + LIMITS);
  return {counts[0], static_cast<int>(counts.size()) - 1};
}

void accept_only(const Json &header, const std::string &key, const std::vector<std::string> &accepted)
{
  const std::string &found = header.at(key).string();
  if (std::find(accepted.begin(), accepted.end(), found) != accepted.end()) return;
  std::string list;
  for (const std::string &word : accepted) list += (list.empty() ? "" : ", ") + word;
  refuse(key, "'" + found + "'", list);
}

int whole(const Json &header, const std::string &key, int low, int high)
{
  const long value = header.at(key).integer();
  if (value < low || value > high) refuse(key, std::to_string(value), std::to_string(low) + " to " + std::to_string(high));
  return static_cast<int>(value);
}

std::vector<int> whole_numbers(const Json &header, const std::string &key, int low, int high)
{
  std::vector<int> out;
  for (const Json &item : header.at(key).array()) {
    const long value = item.integer();
    if (value < low || value > high) refuse(key, std::to_string(value), std::to_string(low) + " to " + std::to_string(high));
    out.push_back(static_cast<int>(value));
  }
  return out;
}

bool contains(const std::string &text, const char *part) { return text.find(part) != std::string::npos; }

void refuse_what_is_not_built(const Json &header)
{
  const std::vector<std::string> residual = {"RealAgnosticResidualInteractionBlock", "RealAgnosticDensityResidualInteractionBlock",
                                             NONLINEAR};
  std::vector<std::string> first = residual;
  first.insert(first.end(), {"RealAgnosticInteractionBlock", "RealAgnosticDensityInteractionBlock"});
  accept_only(header, "class", {"MACE", "ScaleShiftMACE"});
  accept_only(header, "interaction_first", first);
  if (header.at("num_interactions").integer() > 1) accept_only(header, "interaction", residual);
  if (header.at("use_so3").boolean()) refuse("use_so3", "true", "false");
  if (header.at("num_interactions").integer() > 1) accept_only(header, "readout", {"NonLinearReadoutBlock", "NonLinearBiasReadoutBlock"});
}

// what a word of the header means
template <class T> T choice(const Json &header, const std::string &key, const std::vector<std::pair<std::string, T>> &meanings)
{
  std::vector<std::string> words;
  for (const auto &meaning : meanings) {
    if (header.at(key).string() == meaning.first) return meaning.second;
    words.push_back(meaning.first);
  }
  accept_only(header, key, words);
  return meanings[0].second;
}

void read_radial(const Json &header, Architecture &a)
{
  a.radial_basis = choice<RadialBasis>(
      header, "radial_type", {{"bessel", RadialBasis::Bessel}, {"gaussian", RadialBasis::Gaussian}, {"chebyshev", RadialBasis::Chebyshev}});
  a.transform = choice<Transform>(header, "distance_transform",
                                  {{"None", Transform::None}, {"Agnesi", Transform::Agnesi}, {"Soft", Transform::Soft}});
  a.n_bessel = whole(header, "num_bessel", a.radial_basis == RadialBasis::Gaussian ? 2 : 1, 1000);
  a.radial_widths = whole_numbers(header, "radial_MLP", 1, 10000);
  a.silu_constant = header.at("activation_constants").at("silu").number();
  a.cutoff_in_basis = header.at("apply_cutoff").boolean();
}

void read_gate(const Json &header, Architecture &a)
{
  a.n_gate = 0;
  a.gate = Activation::None;
  a.gate_constant = 1.0;
  if (a.layers.size() == 1) return;
  const Irreps scalars = channels_and_degree(header, "MLP_irreps");
  if (scalars.degree > 0) refuse("MLP_irreps", "'" + header.at("MLP_irreps").string() + "'", "scalars like 16x0e");
  a.n_gate = scalars.n_channels;
  a.gate = choice<Activation>(header, "gate", {{"silu", Activation::Silu}, {"tanh", Activation::Tanh}, {"abs", Activation::Abs},
                                               {"None", Activation::None}});
  if (a.gate != Activation::None) a.gate_constant = header.at("activation_constants").at(header.at("gate").string()).number();
}

// channels that edges of a layer fetch, of each degree of the features that come in
std::vector<int> sent_channels(const Json &header, const Irreps &hidden, int layer)
{
  const Json &irreps = header.at("edge_irreps");
  const std::size_t n_degrees = layer ? hidden.degree + 1 : 1;
  if (irreps.is_null() || (layer == 0 && !header.at("use_edge_irreps_first").boolean()))
    return std::vector<int>(n_degrees, hidden.n_channels);
  const std::string kind = layer ? "interaction" : "interaction_first";
  if (header.at(kind).string() != NONLINEAR)
    refuse("edge_irreps", "'" + irreps.string() + "' with " + kind + " " + header.at(kind).string(), "null");
  std::vector<int> sent = channels_by_degree(irreps.string());
  if (sent.empty() || sent[0] == 0 || static_cast<int>(sent.size()) > hidden.degree + 1)
    refuse("edge_irreps", "'" + irreps.string() + "'", "0e and degrees of hidden_irreps, as 128x0e+64x1o: " + LIMITS);
  sent.resize(n_degrees, 0);
  return sent;
}

std::vector<LayerShape> layers_of(const Json &header, const Irreps &hidden)
{
  const int n = whole(header, "num_interactions", 1, 100);
  const std::vector<int> correlation = whole_numbers(header, "correlation", 1, 3);
  if (static_cast<int>(correlation.size()) != n)
    refuse("correlation", std::to_string(correlation.size()) + " numbers", std::to_string(n) + ", one per interaction");
  const bool only_last = header.at("use_last_readout_only").boolean();
  if (only_last && n == 1) refuse("use_last_readout_only", "true with one interaction, which leaves no readout", "false");
  std::vector<LayerShape> out;
  for (int t = 0; t < n; ++t) {
    const std::string &kind = header.at(t ? "interaction" : "interaction_first").string();
    const bool nonlinear = kind == NONLINEAR;
    const std::vector<int> sent = sent_channels(header, hidden, t);
    LayerShape layer{nonlinear || contains(kind, "Density"), contains(kind, "Residual"), nonlinear, t ? hidden.degree : 0,
                     t + 1 < n ? hidden.degree : 0, sent, *std::max_element(sent.begin(), sent.end()), correlation[t], Readout::Linear,
                     only_last ? 0 : t};
    if (t + 1 == n && n > 1)
      layer.readout = header.at("readout").string() == "NonLinearBiasReadoutBlock" ? Readout::Biased : Readout::Gated;
    else if (only_last) layer.readout = Readout::None;
    out.push_back(layer);
  }
  return out;
}

}    // namespace

Architecture Architecture::read(const Json &header)
{
  refuse_what_is_not_built(header);
  Architecture a;
  const Irreps hidden = channels_and_degree(header, "hidden_irreps");
  a.n_channels = hidden.n_channels;
  a.layers = layers_of(header, hidden);
  a.atomic_numbers = whole_numbers(header, "atomic_numbers", 1, MAX_ATOMIC_NUMBER);
  if (a.atomic_numbers.empty() || a.atomic_numbers.size() > MAX_ATOMIC_NUMBER)
    refuse("atomic_numbers", "a list of " + std::to_string(a.atomic_numbers.size()),
           "1 to " + std::to_string(MAX_ATOMIC_NUMBER) + " of them");
  a.cutoff = header.at("r_max").number();
  if (!(a.cutoff > 0.0 && a.cutoff < 1e3)) refuse("r_max", std::to_string(a.cutoff), "above 0 and below 1000 Angstrom");
  a.l_max = whole(header, "max_ell", 1, MAX_DEGREE);
  read_radial(header, a);
  a.mean_neighbours = header.at("avg_num_neighbors").number();
  const bool nonlinear = std::any_of(a.layers.begin(), a.layers.end(), [](const LayerShape &layer) { return layer.nonlinear; });
  const Json &constants = header.at("activation_constants");
  a.gate_silu_constant = constants.has("gate silu") ? constants.at("gate silu").number() : a.silu_constant;
  a.gate_sigmoid_constant = nonlinear ? constants.at("sigmoid").number() : 1.0;
  a.repulsion = header.at("pair_repulsion").boolean();
  a.scale_shift = header.at("class").string() == "ScaleShiftMACE";
  a.agnostic_product = header.at("use_agnostic_product").boolean();
  const std::vector<Json> &heads = header.at("heads").array();
  if (heads.size() > MAX_HEADS)
    refuse("heads", "a list of " + std::to_string(heads.size()), "at most " + std::to_string(MAX_HEADS) + " of them");
  a.n_heads = static_cast<int>(heads.size());
  a.head = 0;
  while (a.head < a.n_heads && heads[a.head].string() != header.at("head").string()) ++a.head;
  if (a.head == a.n_heads) refuse("head", "'" + header.at("head").string() + "'", "one of heads");
  read_gate(header, a);
  return a;
}

}    // namespace lmp_uq
