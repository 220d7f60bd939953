// SPDX-License-Identifier: GPL-2.0-or-later
#include "model_check.h"
#include "model_check_rules.h"
#include "snap_descriptors.h"

#include <algorithm>

namespace lmp_uq {
namespace {

const char *const PARAMETERS[] = {"rcutfac",  "twojmax",   "rfac0",        "rmin0",          "switchflag", "bzeroflag", "quadraticflag",
                                  "chemflag", "bnormflag", "wselfallflag", "switchinnerflag"};
const std::string START = "backbone.architecture.";

bool ends_with_flag(const std::string &name) { return name.size() > 4 && name.compare(name.size() - 4, 4, "flag") == 0; }

bool is_whole(const Json *value, long most)
{
  return value && value->is_integer() && value->digits()[0] != '-' && !less_digits(std::to_string(most), value->digits());
}

bool is_reference(const Json &text)
{
  if (!text.is_string() || text.string().empty()) return false;
  const std::string more = " _./*+-", &value = text.string();
  return std::all_of(value.begin(), value.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || more.find(c) != std::string::npos;
  });
}

void check_parameters(const Json &parameters, const std::string &where)
{
  const std::string most = std::to_string(SnapDescriptors::MAX_TWOJMAX);
  for (const std::string name : PARAMETERS) {
    const Json *value = parameters.find(name);
    const std::string key = START + "parameters." + name;
    if (name == "twojmax") {
      if (!is_whole(value, SnapDescriptors::MAX_TWOJMAX)) reject(where, key, value, "a whole number from 0 to " + most);
    } else if (ends_with_flag(name)) {
      if (!is_whole(value, 1)) reject(where, key, value, "0 or 1");
    } else if (!is_number(value)) {
      reject(where, key, value, "a number");
    }
  }
}

void check_lists(const Json &architecture, std::size_t n_elements, const std::string &where)
{
  std::vector<const char *> names = {"radii", "weights"};
  if (architecture.at("parameters").at("switchinnerflag").integer()) names.insert(names.end(), {"sinner", "dinner"});
  for (const std::string name : names) {
    const Json *values = architecture.find(name);
    if (!are_numbers(values) || values->array().size() != n_elements)
      reject(where, START + name, values, "a list of one number for each element");
  }
}

void check_reference(const Json *reference, const std::string &where)
{
  if (!reference || !reference->is_object()) reject(where, START + "reference", reference, "an object");
  for (const std::string name : {"styles", "coefficients"}) {
    const Json *texts = reference->find(name);
    if (!texts || !texts->is_array() || !std::all_of(texts->array().begin(), texts->array().end(), is_reference))
      reject(where, START + "reference." + name, texts, "a list of texts of letters, digits, spaces and _./*+-");
  }
}

}    // namespace

void check_snap(const Json &header, const std::string &where)
{
  const Json &backbone = header.at("backbone"), &architecture = backbone.at("architecture"), &posterior = header.at("posterior");
  const Json *parameters = architecture.find("parameters");
  const std::size_t n_elements = header.at("elements").array().size();
  if (!parameters || !parameters->is_object()) reject(where, START + "parameters", parameters, "an object");
  check_parameters(*parameters, where);
  check_lists(architecture, n_elements, where);
  check_reference(architecture.find("reference"), where);
  const std::string count = std::to_string(n_elements * SnapDescriptors(architecture, n_elements).n_descriptors());
  if (backbone.at("n_features").digits() != count)
    reject(where, "backbone.n_features", &backbone.at("n_features"), count + ", as the architecture gives");
  if (!posterior.is_null() && posterior.at("bias").string() != "element")
    reject(where, "posterior.bias", &posterior.at("bias"), "element, as a linear potential has a constant for each element");
}

}    // namespace lmp_uq
