// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/weights.h"

#include "base/text.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace lmp_uq {

namespace {

constexpr int MAX_POWER = 1000;    // of an envelope
constexpr int MAX_ORDER = 1000;    // of a Chebyshev polynomial

std::string layer_name(const char *kind, int layer, const char *rest)
{
  return std::string(kind) + "." + std::to_string(layer) + "." + rest;
}

std::string in_words(const std::vector<std::size_t> &shape)
{
  std::string out;
  for (std::size_t n : shape) out += (out.empty() ? "" : ", ") + std::to_string(n);
  return "[" + out + "]";
}

}    // namespace

Weights::Weights(Architecture architecture, Tensors tensors) : architecture_(std::move(architecture)), tensors_(std::move(tensors)) {}

const Tensor &Weights::find(const std::string &name) const
{
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw std::runtime_error("MACE tensors: " + name + " missing");
  return found->second;
}

const Tensor &Weights::tensor(const std::string &name, const std::vector<std::size_t> &shape) const
{
  const Tensor &found = find(name);
  if (found.shape != shape)
    throw std::runtime_error("MACE tensors: " + name + " has shape " + in_words(found.shape) + ", this architecture needs " +
                             in_words(shape));
  return found;
}

// entries [begin, begin+count) of a flat array of `length`, times a factor
Matrix Weights::part(const std::string &name, std::size_t length, std::size_t begin, std::size_t count, double factor) const
{
  const Tensor &whole = tensor(name, {length});
  const Tensor piece{whole.dtype, {count}, static_cast<const char *>(whole.data) + begin * item_size(whole.dtype)};
  Matrix out = piece.doubles();
  for (double &value : out) value *= factor;
  return out;
}

double Weights::scalar(const std::string &name) const
{
  const Tensor &found = find(name);
  if (found.size() != 1) throw std::runtime_error("MACE tensors: " + name + " has shape " + in_words(found.shape) + ", needs one number");
  return found.doubles()[0];
}

int Weights::whole(const std::string &name) const
{
  const double value = scalar(name);
  if (!(value >= 1.0 && value <= MAX_POWER && value == std::floor(value)))    // NaN too
    throw std::runtime_error("MACE tensors: " + name + " is " + to_text(value) + "; accepted: a whole number from 1 to " +
                             std::to_string(MAX_POWER));
  return static_cast<int>(value);
}

double Weights::of_head(const std::string &name) const
{
  return tensor(name, {static_cast<std::size_t>(architecture_.n_heads)}).doubles()[architecture_.head];
}

double Weights::atomic_energy(int element) const
{
  const std::size_t n = architecture_.n_elements(), heads = architecture_.n_heads;
  return tensor("atomic_energies_fn.atomic_energies", {heads, n}).doubles()[architecture_.head * n + element];
}

double Weights::scale() const { return architecture_.scale_shift ? of_head("scale_shift.scale") : 1.0; }
double Weights::shift() const { return architecture_.scale_shift ? of_head("scale_shift.shift") : 0.0; }

// Columns of the head: (C, n_heads * n) -> (C, n)
static Matrix columns(const Matrix &all, std::size_t n_rows, std::size_t n_heads, std::size_t head, std::size_t n)
{
  Matrix out;
  for (std::size_t c = 0; c < n_rows; ++c)
    for (std::size_t k = 0; k < n; ++k) out.push_back(all[(c * n_heads + head) * n + k]);
  return out;
}

Matrix Weights::readout_linear(int layer) const
{
  const std::size_t n = architecture_.n_channels, heads = architecture_.n_heads;
  const std::string name = layer_name("readouts", architecture_.layers[layer].readout_number, "linear.weight");
  return columns(part(name, n * heads, 0, n * heads, 1.0 / std::sqrt(n)), n, heads, architecture_.head, 1);
}

Matrix Weights::readout_gate(int layer) const
{
  const std::size_t n = architecture_.n_channels, heads = architecture_.n_heads, gate = architecture_.n_gate;
  const std::string name = layer_name("readouts", architecture_.layers[layer].readout_number, "linear_1.weight");
  return columns(part(name, n * heads * gate, 0, n * heads * gate, 1.0 / std::sqrt(n)), n, heads, architecture_.head, gate);
}

Matrix Weights::readout_gated(int layer) const
{
  const std::size_t heads = architecture_.n_heads, gate = architecture_.n_gate, head = architecture_.head;
  const std::string name = layer_name("readouts", architecture_.layers[layer].readout_number, "linear_2.weight");
  const Matrix all = part(name, heads * gate * heads, 0, heads * gate * heads, architecture_.gate_constant / std::sqrt(heads * gate));
  Matrix out;    // other heads' scalars are masked
  for (std::size_t k = 0; k < gate; ++k) out.push_back(all[(head * gate + k) * heads + head]);
  return out;
}

Matrix Weights::embedding(int element) const
{
  const std::size_t n = architecture_.n_channels, elements = architecture_.n_elements();
  return part("node_embedding.linear.weight", elements * n, element * n, n, 1.0 / std::sqrt(elements));
}

Matrix Weights::source_features(int element) const
{
  return times(embedding(element), up(0, 0), architecture_.layers[0].n_sent);
}

Paths Weights::paths(int layer) const { return make_paths(architecture_.layers[layer].l_in, architecture_.l_max); }

bool Weights::message_depends_on_element(int layer) const { return !architecture_.layers[layer].residual; }

Matrix Weights::message(int layer, int l, int element) const
{
  const LayerShape &shape = architecture_.layers[layer];
  const Paths p = paths(layer);
  const std::size_t n = architecture_.n_channels, rows = p.n_of[l] * n;
  std::size_t begin = 0;
  for (int k = 0; k < l; ++k) begin += p.n_of[k] * n * n;
  const double normalisation = 1.0 / std::sqrt(rows) / (shape.density ? 1.0 : architecture_.mean_neighbours);
  Matrix out = part(layer_name("interactions", layer, "linear.weight"), p.n * n * n, begin, rows * n, normalisation);
  if (!shape.residual) out = times(out, skip(layer, l, element), n);
  return out;
}

// In a block that is not residual the same array mixes messages, and has a part for every degree of the harmonics.
Matrix Weights::skip(int layer, int l, int element) const
{
  const LayerShape &shape = architecture_.layers[layer];
  const std::size_t n = architecture_.n_channels, elements = architecture_.n_elements();
  const int highest = shape.residual ? std::min(shape.l_in, shape.l_out) : architecture_.l_max;
  const std::size_t per_degree = n * elements * n;
  const std::string name = layer_name("interactions", layer, "skip_tp.weight");
  if (shape.nonlinear) return part(name, (highest + 1) * n * n, l * n * n, n * n, 1.0 / std::sqrt(n));    // the same for all elements
  const double normalisation = 1.0 / std::sqrt(n * elements);
  Matrix out;
  for (std::size_t c = 0; c < n; ++c) {
    const Matrix row = part(name, (highest + 1) * per_degree, l * per_degree + (c * elements + element) * n, n, normalisation);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

Matrix Weights::constant_skip(int element) const
{
  const std::size_t n = architecture_.n_channels;
  if (!architecture_.layers[0].residual) return Matrix(n, 0.0);
  return times(embedding(element), skip(0, 0, element), n);
}

Matrix Weights::up(int layer, int l) const
{
  const LayerShape &shape = architecture_.layers[layer];
  const std::size_t n = architecture_.n_channels, width = shape.n_sent_of[l];
  const auto before = std::accumulate(shape.n_sent_of.begin(), shape.n_sent_of.begin() + l, std::size_t{0});
  const auto all = std::accumulate(shape.n_sent_of.begin(), shape.n_sent_of.end(), std::size_t{0});
  const Matrix own = part(layer_name("interactions", layer, "linear_up.weight"), all * n, before * n, width * n, 1.0 / std::sqrt(n));
  return width ? filled_up(own, {width}, shape.n_sent) : Matrix(n * shape.n_sent, 0.0);
}

Matrix Weights::linear(int layer, int l) const
{
  const std::size_t n = architecture_.n_channels, degrees = architecture_.layers[layer].l_out + 1;
  return part(layer_name("products", layer, "linear.weight"), degrees * n * n, l * n * n, n * n, 1.0 / std::sqrt(n));
}

Matrix Weights::radial(int layer, int step) const
{
  std::vector<std::size_t> widths(1, architecture_.n_bessel);
  widths.insert(widths.end(), architecture_.radial_widths.begin(), architecture_.radial_widths.end());
  widths.push_back(static_cast<std::size_t>(paths(layer).n) * architecture_.n_channels);
  const std::string name = layer_name("interactions", layer, "conv_tp_weights.layer") + std::to_string(step) + ".weight";
  Matrix out = tensor(name, {widths[step], widths[step + 1]}).doubles();
  const double factor = (step ? architecture_.silu_constant : 1.0) / std::sqrt(static_cast<double>(widths[step]));
  for (double &value : out) value *= factor;
  return out;
}

Matrix Weights::density(int layer) const
{
  const std::size_t n = architecture_.n_bessel;
  Matrix out = tensor(layer_name("interactions", layer, "density_fn.layer0.weight"), {n, 1}).doubles();
  for (double &value : out) value /= std::sqrt(static_cast<double>(n));
  return out;
}

Matrix Weights::radial_parameters() const
{
  const std::size_t n = architecture_.n_bessel;
  const std::string name = "radial_embedding.bessel_fn.";
  if (architecture_.radial_basis == RadialBasis::Bessel) return tensor(name + "bessel_weights", {n}).doubles();
  if (architecture_.radial_basis == RadialBasis::Gaussian) return tensor(name + "gaussian_weights", {n}).doubles();
  Matrix orders = tensor(name + "n", {1, n}).doubles();
  for (double order : orders)
    if (!(order >= 0.0 && order <= MAX_ORDER && order == std::floor(order)))    // NaN too
      throw std::runtime_error("MACE tensors: " + name + "n holds " + to_text(order) + "; accepted: whole numbers from 0 to " +
                               std::to_string(MAX_ORDER));
  return orders;
}

double Weights::radial_scale() const
{
  if (architecture_.radial_basis == RadialBasis::Bessel) return scalar("radial_embedding.bessel_fn.prefactor");
  // no array of the file: mace-torch makes it of the cutoff, the width of a function being the distance of two centres
  const double width = architecture_.cutoff / (architecture_.n_bessel - 1);
  return -0.5 / (width * width);
}

double Weights::envelope_cutoff() const { return scalar("radial_embedding.cutoff_fn.r_max"); }
int Weights::envelope_order() const { return whole("radial_embedding.cutoff_fn.p"); }

Agnesi Weights::agnesi() const
{
  const std::string name = "radial_embedding.distance_transform.";
  return {scalar(name + "a"), scalar(name + "q"), scalar(name + "p")};
}

double Weights::softness() const { return scalar("radial_embedding.distance_transform.alpha"); }

double Weights::radius(int element) const
{
  return radius(architecture_.transform != Transform::None ? "radial_embedding.distance_transform" : "pair_repulsion_fn", element);
}

double Weights::radius(const std::string &name, int element) const
{
  const Matrix radii = find(name + ".covalent_radii").doubles();
  const std::size_t number = architecture_.atomic_numbers[element];
  if (number >= radii.size()) throw std::runtime_error("MACE tensors: " + name + ".covalent_radii ends before element " + std::to_string(number));
  return radii[number];
}

double Weights::contact(int first, int second) const
{
  return architecture_.transform != Transform::None || architecture_.repulsion ? radius(first) + radius(second) : 0.0;
}

Repulsion Weights::repulsion(int first, int second) const
{
  const std::string name = "pair_repulsion_fn.";
  const double z1 = architecture_.atomic_numbers[first], z2 = architecture_.atomic_numbers[second], power = scalar(name + "a_exp");
  Repulsion out{};
  out.strength = 0.5 * 14.3996 * z1 * z2;
  out.length = scalar(name + "a_prefactor") * 0.529 / (std::pow(z1, power) + std::pow(z2, power));
  out.cutoff = radius("pair_repulsion_fn", first) + radius("pair_repulsion_fn", second);
  const Matrix prefactors = tensor(name + "c", {4}).doubles();
  for (int k = 0; k < 4; ++k) out.prefactor[k] = prefactors[k];
  out.p = whole(name + "p");
  return out;
}

static std::string contraction(int layer, int l)
{
  return layer_name("products", layer, "symmetric_contractions.contractions.") + std::to_string(l) + ".";
}

const Tensor &Weights::coupling(int layer, int l, int order, const char *part) const
{
  return find(contraction(layer, l) + "U_matrix_" + std::to_string(order) + "." + part);
}

Matrix Weights::product_weights(int layer, int l, int order, int element, std::size_t n_paths) const
{
  const int below = architecture_.layers[layer].correlation - order;
  const std::string name = contraction(layer, l) + (below ? "weights." + std::to_string(below - 1) : std::string("weights_max"));
  const std::size_t n = architecture_.n_channels, sets = architecture_.agnostic_product ? 1 : architecture_.n_elements();
  const Tensor &whole = tensor(name, {sets, n_paths, n});
  const std::size_t begin = architecture_.agnostic_product ? 0 : element * n_paths * n;
  return Tensor{whole.dtype, {n_paths * n}, static_cast<const char *>(whole.data) + begin * item_size(whole.dtype)}.doubles();
}

}    // namespace lmp_uq
