// SPDX-License-Identifier: GPL-2.0-or-later
// The shape of a MACE model (Batatia et al., NeurIPS 2022, arXiv:2206.07697) as a model file's header gives it, and what of it this
// engine runs.
#ifndef LMP_UQ_ARCHITECTURE_H
#define LMP_UQ_ARCHITECTURE_H

#include "base/json.h"
#include "formulas/activations.h"
#include "formulas/radial_basis.h"

#include <string>
#include <vector>

namespace lmp_uq {

enum class Transform { None, Agnesi, Soft };    // of distances, before the radial basis
enum class Readout { None, Linear, Gated, Biased };
inline bool keeps_scalars(Readout readout) { return readout == Readout::Gated || readout == Readout::Biased; }    // its gradient needs them

struct LayerShape {
  bool density;          // messages are divided by a linear function of a density of neighbours, else by a constant
  bool residual;         // features of the layer before are added to those of this one
  bool nonlinear;        // a gate and a second linear map follow the messages; its radial network sees both elements
  int l_in, l_out;       // highest degree of the features that come in and go out
  std::vector<int> n_sent_of;    // channels that edges fetch, of each degree 0 to l_in
  int n_sent;            // the most of them: others are filled up with zeros
  int correlation;       // highest order of the products
  Readout readout;
  int readout_number;    // among the model's readouts
};

struct Architecture {
  std::vector<int> atomic_numbers;
  double cutoff;                 // Angstrom
  int l_max;                     // of the edge harmonics
  int n_channels;
  int n_bessel;                  // functions of the radial basis
  RadialBasis radial_basis;
  Transform transform;
  std::vector<int> radial_widths;
  int n_heads, head;
  int n_gate;                    // scalars inside the last readout
  double mean_neighbours;
  Activation gate;               // of the gated or biased readout
  double silu_constant;          // e3nn's normalisations of the activation functions: of the radial networks,
  double gate_constant;          // of the last readout,
  double gate_silu_constant, gate_sigmoid_constant;    // inside the gates of nonlinear layers
  bool repulsion, scale_shift;
  bool cutoff_in_basis;          // else radial functions and densities are multiplied by the envelope
  bool agnostic_product;         // products have one set of coefficients for all elements
  std::vector<LayerShape> layers;

  int n_elements() const { return static_cast<int>(atomic_numbers.size()); }
  int n_features() const { return n_channels * static_cast<int>(layers.size()); }

  // header: the entry backbone.architecture. std::runtime_error names the feature that this engine does not run, or the key that is
  // missing.
  static Architecture read(const Json &header);
};

}    // namespace lmp_uq
#endif
