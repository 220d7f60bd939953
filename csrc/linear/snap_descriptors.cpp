// SPDX-License-Identifier: GPL-2.0-or-later
#include "linear/snap_descriptors.h"

#include "base/text.h"

#include <algorithm>

namespace lmp_uq {
namespace {

// j of each bispectrum component: triples j1 >= j2, j >= j1 with |j1 - j2| <= j <= j1 + j2 up to twojmax, j in steps of two
std::vector<int> largest_j(int twojmax)
{
  std::vector<int> out;
  for (int j1 = 0; j1 <= twojmax; j1++)
    for (int j2 = 0; j2 <= j1; j2++)
      for (int j = j1 - j2; j <= std::min(twojmax, j1 + j2); j += 2)
        if (j >= j1) out.push_back(j);
  return out;
}

bool flag(const Json &architecture, const char *name) { return architecture.at("parameters").at(name).integer() != 0; }

std::string number(const Json &value) { return value.is_integer() ? value.digits() : to_text(value.number()); }

}    // namespace

SnapDescriptors::SnapDescriptors(const Json &architecture, std::size_t n_elements)
    : architecture_(&architecture), quadratic_(flag(architecture, "quadraticflag")), chem_(flag(architecture, "chemflag"))
{
  const int twojmax = static_cast<int>(architecture.at("parameters").at("twojmax").integer());
  n_bispectrum_ = largest_j(twojmax).size() * (chem_ ? n_elements * n_elements * n_elements : 1);
}

std::string SnapDescriptors::hint(std::size_t n_columns) const
{
  if (n_columns != (quadratic_ ? n_bispectrum_ : with_products(n_bispectrum_))) return "";
  return quadratic_ ? "quadraticflag 0 there, 1 in the file" : "quadraticflag 1 there, 0 in the file";
}

// What bzeroflag takes off each bispectrum component is put back, or taken off once more, and the products are formed anew.
bool SnapDescriptors::alternative(std::size_t which, const double *row, std::vector<double> &out, std::string &words) const
{
  if (chem_ || which > 1) return false;    // with chemflag it is not known what is taken off
  words = which == 0 ? "bzeroflag is 1 in the compute, 0 in the file" : "bzeroflag is 0 in the compute, 1 in the file";
  const bool norm = flag(*architecture_, "bnormflag");
  const std::vector<int> j = largest_j(static_cast<int>(architecture_->at("parameters").at("twojmax").integer()));
  out.assign(row, row + n_descriptors());
  for (std::size_t k = 0; k < n_bispectrum_; k++) out[k] += (which == 0 ? 1.0 : -1.0) * (norm ? 1.0 : j[k] + 1.0);
  if (!quadratic_) return true;
  std::size_t at = n_bispectrum_;
  for (std::size_t k = 0; k < n_bispectrum_; k++)
    for (std::size_t l = k; l < n_bispectrum_; l++) out[at++] = (k == l ? 0.5 : 1.0) * out[k] * out[l];
  return true;
}

std::string SnapDescriptors::suspects() const
{
  return "neither bzeroflag nor the order of types alone explains it: compare rcutfac, rfac0, rmin0, twojmax, switchflag, radii, weights and "
         "the coefficients";
}

std::string SnapDescriptors::compute(Role role, const std::vector<int> &element_of_type) const
{
  const Json &parameters = architecture_->at("parameters");
  std::string out = role == DESCRIPTORS ? "sna/atom " : role == GRADIENT ? "snad/atom " : "snav/atom ";
  out += number(parameters.at("rcutfac")) + " " + number(parameters.at("rfac0")) + " " + number(parameters.at("twojmax"));
  const auto by_type = [&](const char *name) {
    for (const int element : element_of_type) out += " " + number(architecture_->at(name).array()[element]);
  };
  by_type("radii");
  by_type("weights");
  for (const std::string name : {"rmin0", "bzeroflag", "quadraticflag", "switchflag", "bnormflag", "wselfallflag"})
    out += " " + name + " " + number(parameters.at(name));
  if (chem_) {
    out += " chem " + std::to_string(architecture_->at("radii").array().size());
    for (const int element : element_of_type) out += " " + std::to_string(element);
  }
  if (!flag(*architecture_, "switchinnerflag")) return out;
  for (const char *name : {"sinner", "dinner"}) {
    out += name == std::string("sinner") ? " switchinnerflag 1 sinner" : " dinner";
    by_type(name);
  }
  return out;
}

}    // namespace lmp_uq
