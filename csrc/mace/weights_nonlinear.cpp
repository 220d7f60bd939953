// SPDX-License-Identifier: GPL-2.0-or-later
// Arrays of the nonlinear interaction block (mace-torch's RealAgnosticResidualNonLinearInteractionBlock; Batatia et al., arXiv:2510.25380)
// and of the readout with biases that comes with it.
#include "mace/weights.h"

#include <cmath>
#include <numeric>

namespace lmp_uq {

namespace {

constexpr std::size_t DENSITY_WIDTH = 64;    // of the one hidden layer of density_fn

std::string block_name(int layer, const std::string &rest) { return "interactions." + std::to_string(layer) + "." + rest; }

std::string readout_name(int number, const char *rest) { return "readouts." + std::to_string(number) + "." + rest; }

// a torch Sequential of (linear, norm, activation): where a step's linear map and norm are
std::string step_name(int layer, const std::string &network, int step, int within, const char *array)
{
  return block_name(layer, network + ".net." + std::to_string(3 * step + within) + "." + array);
}

}    // namespace

// channels that edges fetch, of each path to messages of degree l, or with l < 0 of every path
std::vector<std::size_t> Weights::sent_by_path(int layer, int l) const
{
  const Paths p = paths(layer);
  std::vector<std::size_t> out;
  for (int k = 0; k < p.n; ++k)
    if (l < 0 || p.l3[k] == l) out.push_back(architecture_.layers[layer].n_sent_of[p.l1[k]]);
  return out;
}

Matrix Weights::by_path(int layer, const Matrix &last) const
{
  return filled_up(last, sent_by_path(layer, -1), architecture_.layers[layer].n_sent);
}

// sent: of each degree of what is mapped the channels of its blocks, whose matrices lie one after the other in the array; those of degree 0
// have the gates' columns after their own
Matrix Weights::before_gate(const std::string &name, int layer, const std::vector<std::vector<std::size_t>> &sent, int l,
                            int part_number) const
{
  const std::size_t n = architecture_.n_channels, gates = architecture_.l_max + 1;
  std::size_t length = 0, begin = 0, rows = 0;
  for (std::size_t k = 0; k < sent.size(); ++k) {
    const auto mine = std::accumulate(sent[k].begin(), sent[k].end(), std::size_t{0});
    if (k == static_cast<std::size_t>(l)) {
      begin = length;
      rows = mine;
    }
    length += mine * n * (k ? 1 : gates);
  }
  const std::size_t n_columns = n * (l ? 1 : gates), wide = architecture_.layers[layer].n_sent;
  const Matrix all = part(block_name(layer, name), length, begin, rows * n_columns, 1.0 / std::sqrt(static_cast<double>(rows)));
  Matrix out;
  std::size_t row = 0;
  for (std::size_t channels : sent[l]) {
    for (std::size_t c = 0; c < channels; ++c, ++row) {
      const auto from = all.begin() + row * n_columns + part_number * n;
      out.insert(out.end(), from, from + n);
    }
    out.resize(out.size() + (wide - channels) * n, 0.0);
  }
  return out;
}

Matrix Weights::gated_message(int layer, int l, int part_number) const
{
  std::vector<std::vector<std::size_t>> sent;
  for (int k = 0; k <= architecture_.l_max; ++k) sent.push_back(sent_by_path(layer, k));
  return before_gate("linear_1.weight", layer, sent, l, part_number);
}

Matrix Weights::gated_source(int layer, int l, int part_number) const
{
  std::vector<std::vector<std::size_t>> sent;
  for (int channels : architecture_.layers[layer].n_sent_of) sent.emplace_back(1, channels);
  return before_gate("linear_res.weight", layer, sent, l, part_number);
}

Matrix Weights::mixing(int layer, int l) const
{
  const std::size_t n = architecture_.n_channels, degrees = architecture_.l_max + 1;
  return part(block_name(layer, "linear_2.weight"), degrees * n * n, l * n * n, n * n, 1.0 / std::sqrt(n));
}

double Weights::density_offset(int layer) const { return architecture_.layers[layer].nonlinear ? scalar(block_name(layer, "alpha")) : 1.0; }
double Weights::density_slope(int layer) const { return architecture_.layers[layer].nonlinear ? scalar(block_name(layer, "beta")) : 1.0; }

std::vector<std::size_t> Weights::widths_of(int layer, const std::string &network) const
{
  const std::size_t n_in = architecture_.n_bessel + 2 * static_cast<std::size_t>(architecture_.n_channels);
  if (network == "density_fn") return {n_in, DENSITY_WIDTH, 1};
  std::vector<std::size_t> widths(1, n_in);
  widths.insert(widths.end(), architecture_.radial_widths.begin(), architecture_.radial_widths.end());
  const std::vector<std::size_t> sent = sent_by_path(layer, -1);
  widths.push_back(std::accumulate(sent.begin(), sent.end(), std::size_t{0}));
  return widths;
}

// Of the first step only the rows of the basis: the others multiply what depends on the elements.
Matrix Weights::normed_step(int layer, const std::string &network, int step) const
{
  const std::vector<std::size_t> widths = widths_of(layer, network);
  const std::size_t n_in = widths[step], n_out = widths[step + 1], n_rows = step ? n_in : architecture_.n_bessel;
  const Matrix transposed = tensor(step_name(layer, network, step, 0, "weight"), {n_out, n_in}).doubles();
  Matrix out;
  for (std::size_t k = 0; k < n_rows; ++k)
    for (std::size_t c = 0; c < n_out; ++c) out.push_back(transposed[c * n_in + k]);
  return out;
}

Matrix Weights::normed_bias(int layer, const std::string &network, int step, int centre, int source) const
{
  const std::vector<std::size_t> widths = widths_of(layer, network);
  Matrix out = tensor(step_name(layer, network, step, 0, "bias"), {widths[step + 1]}).doubles();
  if (step) return out;
  const std::size_t n = architecture_.n_channels, elements = architecture_.n_elements(), n_in = widths[0], n_bessel = architecture_.n_bessel;
  const Matrix weight = tensor(step_name(layer, network, 0, 0, "weight"), {widths[1], n_in}).doubles();
  const double normalisation = 1.0 / std::sqrt(static_cast<double>(elements));
  const Matrix from = part(block_name(layer, "source_embedding.weight"), elements * n, source * n, n, normalisation);
  const Matrix to = part(block_name(layer, "target_embedding.weight"), elements * n, centre * n, n, normalisation);
  for (std::size_t c = 0; c < out.size(); ++c)
    for (std::size_t k = 0; k < n; ++k) out[c] += weight[c * n_in + n_bessel + k] * from[k] + weight[c * n_in + n_bessel + n + k] * to[k];
  return out;
}

Matrix Weights::norm_scale(int layer, const std::string &network, int step) const
{
  return tensor(step_name(layer, network, step, 1, "weight"), {widths_of(layer, network)[step + 1]}).doubles();
}

Matrix Weights::norm_shift(int layer, const std::string &network, int step) const
{
  return tensor(step_name(layer, network, step, 1, "bias"), {widths_of(layer, network)[step + 1]}).doubles();
}

Matrix Weights::readout_mid(int layer) const
{
  const std::size_t heads = architecture_.n_heads, gate = architecture_.n_gate, n = heads * gate, first = architecture_.head * gate;
  const std::string name = readout_name(architecture_.layers[layer].readout_number, "linear_mid.weight");
  const Matrix all = part(name, n * n, 0, n * n, architecture_.gate_constant / std::sqrt(n));
  Matrix out;    // other heads' scalars are masked
  for (std::size_t k = 0; k < gate; ++k) out.insert(out.end(), all.begin() + (first + k) * n + first, all.begin() + (first + k) * n + first + gate);
  return out;
}

Matrix Weights::readout_bias(int layer, bool last) const
{
  const std::size_t heads = architecture_.n_heads, n = last ? 1 : architecture_.n_gate;
  const std::string name = readout_name(architecture_.layers[layer].readout_number, last ? "linear_2.bias" : "linear_mid.bias");
  return part(name, heads * n, architecture_.head * n, n, 1.0);
}

}    // namespace lmp_uq
