// SPDX-License-Identifier: GPL-2.0-or-later
#include "file/model_check.h"

#include "base/text.h"
#include "file/p_readout_entries.h"
#include "file/specification.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <stdexcept>

namespace lmp_uq {
namespace {

bool begins_with(const std::string &text, const std::string &start) { return text.rfind(start, 0) == 0; }

[[noreturn]] void refuse(const std::string &where, const std::string &what) { throw std::runtime_error(where + ": " + what); }

bool is_linear(const Json &header) { return header.at("backbone").at("family").string() != "mace"; }

std::vector<std::size_t> shape_of(const TensorEntry &entry, const Json &header)
{
  std::vector<std::size_t> out;
  for (const char *symbol : entry.shape) out.push_back(length(symbol, header));
  return out;
}

void check_sections(const Json &header, const Tensors &tensors, const std::string &where)
{
  const auto &sections = tensor_sections();
  std::vector<std::string> unknown;
  for (const auto &named : tensors)
    if (std::none_of(sections.begin(), sections.end(), [&](const std::string &start) { return begins_with(named.first, start); }))
      unknown.push_back(named.first);
  if (!unknown.empty()) {
    const std::size_t n_more = unknown.size() - std::min<std::size_t>(unknown.size(), 5);
    const std::string more = n_more ? " and " + std::to_string(n_more) + " more" : "";
    unknown.resize(unknown.size() - n_more);
    for (std::string &name : unknown) name = piece(name);
    refuse(where, "unknown tensors " + joined(unknown, ", ") + more + "; accepted: names that begin with " +
               joined(sections, ", "));
  }
  for (const std::string section : {"posterior", "grade"})
    for (const auto &named : tensors)
      if (header.at(section).is_null() && begins_with(named.first, section + "/"))
        refuse(where, "header key '" + section + "' is null, but there is the tensor '" + piece(named.first) + "'");
}

// In the section calibration nothing but the specified ones may be; an announced count of 0 forbids its tensor.
void check_names(const Json &header, const Tensors &tensors, const std::string &where)
{
  check_sections(header, tensors, where);
  std::set<std::string> expected;
  for (const TensorEntry &entry : tensor_entries())
    if (entry.is_there && entry.is_there(header)) expected.insert(entry.name);
  for (const auto &named : tensors)
    if (begins_with(named.first, "calibration/") && !expected.count(named.first))
      refuse(where, "unknown tensor " + piece(named.first) +
                 "; accepted in calibration: those of quantile_network, probe and ordinal, if the header has that entry");
  for (const auto &named : tensors)
    if (begins_with(named.first, "posterior/p_readout/") && !expected.count(named.first))
      refuse(where, "unknown tensor " + piece(named.first) + "; accepted in posterior/p_readout: its own, if the header has posterior.p_readout");
  const auto force_members = tensors.find("posterior/force_members");
  if (force_members != tensors.end() && !expected.count(force_members->first))
    refuse(where, "tensor 'posterior/force_members' has shape " + shape_text(force_members->second.shape) +
               "; accepted: none, as posterior.n_force_members is 0");
}

void check_shapes(const Json &header, const Tensors &tensors, const std::string &where)
{
  for (const TensorEntry &entry : tensor_entries()) {
    if (!entry.is_there || !entry.is_there(header)) continue;
    const std::vector<std::size_t> shape = shape_of(entry, header);
    const std::string wanted = shape_text(shape) + ", " + entry.dtype, tensor = std::string("tensor '") + entry.name + "' ";
    const auto found = tensors.find(entry.name);
    if (found == tensors.end()) refuse(where, tensor + "is missing; accepted: shape " + wanted);
    const std::string type = numpy_name(found->second.dtype);
    if (found->second.shape != shape || type != entry.dtype)
      refuse(where, tensor + "has shape " + shape_text(found->second.shape) + ", " + type + "; accepted: " + wanted);
  }
}

void check_parameters(const Json &header, const Tensors &tensors, const std::string &where)
{
  std::size_t held = 0;
  for (const auto &named : tensors)
    if (begins_with(named.first, "backbone/")) held += named.second.size();
  const std::string &announced = header.at("backbone").at("n_parameters").digits(), count = std::to_string(held);
  if (held != 0 && !less_digits(count, announced)) return;
  refuse(where, "header key 'backbone.n_parameters' is " + piece(announced) +
             "; accepted: at most " + count + ", the count of numbers in the tensors backbone/*, which is not 0");
}

template <typename T> std::size_t count_not_finite(const void *data, std::size_t begin, std::size_t end)
{
  const T *values = static_cast<const T *>(data);
  return std::count_if(values + begin, values + end, [](T value) { return !std::isfinite(value); });
}

std::size_t count_not_finite(const Tensor &tensor, std::size_t begin, std::size_t end)
{
  if (tensor.dtype == DType::F64) return count_not_finite<double>(tensor.data, begin, end);
  if (tensor.dtype == DType::F32) return count_not_finite<float>(tensor.data, begin, end);
  const std::vector<double> values = tensor.doubles();
  return count_not_finite<double>(values.data(), begin, end);
}

void check_finite(const Json &header, const Tensors &tensors, const std::string &where)
{
  const bool linear = is_linear(header);
  for (const auto &named : tensors) {
    const std::string &name = named.first;
    const bool checked = begins_with(name, "posterior/") || begins_with(name, "grade/") || begins_with(name, "calibration/") ||
        (linear && begins_with(name, "backbone/"));
    if (!checked || !is_floating(named.second.dtype) || name == "grade/radius") continue;
    std::size_t n_bad = 0;
    if (name == "grade/mean" || name == "grade/whitening") {
      const std::vector<double> radius = tensors.at("grade/radius").doubles();
      const std::size_t stride = named.second.size() / radius.size();
      for (std::size_t z = 0; z < radius.size(); z++)
        if (!std::isnan(radius[z])) n_bad += count_not_finite(named.second, z * stride, (z + 1) * stride);
    } else {
      n_bad = count_not_finite(named.second, 0, named.second.size());
    }
    if (n_bad) refuse(where, "tensor '" + piece(name) + "' has " + std::to_string(n_bad) + " NaN or infinite numbers; accepted: finite ones");
  }
}

void check_box(const Tensors &tensors, const std::string &where)
{
  if (!tensors.count("posterior/lower")) return;
  const std::vector<double> lower = tensors.at("posterior/lower").doubles(), upper = tensors.at("posterior/upper").doubles();
  std::size_t n_crossed = 0, first = 0;
  for (std::size_t k = lower.size(); k-- > 0;)
    if (lower[k] > upper[k]) {
      n_crossed++;
      first = k;
    }
  if (n_crossed)
    refuse(where, "tensor 'posterior/lower' exceeds 'posterior/upper' in " + std::to_string(n_crossed) + " modes, first in mode " +
               std::to_string(first) + "; accepted: lower <= upper");
}

void check_radius(const Tensors &tensors, const std::string &where)
{
  if (!tensors.count("grade/radius")) return;
  for (const double radius : tensors.at("grade/radius").doubles())
    if (!std::isnan(radius) && !(std::isfinite(radius) && radius > 0))
      refuse(where, "tensor 'grade/radius' holds " + to_text(radius) + "; accepted: above 0, or nan for an element without training atoms");
}

void check_scales(const Json &header, const Tensors &tensors, const std::string &where)
{
  if (!has_p_readout(header)) return;
  for (const double scale : tensors.at("posterior/p_readout/input_scale").doubles())
    if (!(scale > 0)) refuse(where, "tensor 'posterior/p_readout/input_scale' holds " + to_text(scale) + "; accepted: above 0");
}

void check_roles(const Json &header, const Tensors &tensors, const std::string &where)
{
  std::map<std::string, std::size_t> counts;
  for (const Json &roles : header.at("provenance").at("roles").values())
    for (std::size_t k = 0; k < roles.keys().size(); k++) counts[roles.keys()[k]] += static_cast<std::size_t>(roles.values()[k].integer());
  const std::string start = "roles/";
  for (const auto &named : tensors)
    if (begins_with(named.first, start)) counts.emplace(named.first.substr(start.size()), 0);
  for (const auto &role : counts) {
    const auto held = tensors.find(start + role.first);
    const bool here = held != tensors.end();
    const std::vector<std::size_t> wanted = {role.second};
    if (here ? held->second.shape == wanted && held->second.dtype == DType::U64 : role.second == 0) continue;
    const std::string found = here ? shape_text(held->second.shape) + ", " + numpy_name(held->second.dtype) : "missing";
    refuse(where, "tensor '" + piece(start + role.first) + "' is " + found + "; accepted: " + shape_text(wanted) +
               ", uint64, as provenance.roles counts");
  }
}

}    // namespace

void check_tensors(const Json &header, const Tensors &tensors, const std::string &where)
{
  check_names(header, tensors, where);
  check_shapes(header, tensors, where);
  check_parameters(header, tensors, where);
  check_finite(header, tensors, where);
  check_box(tensors, where);
  check_radius(tensors, where);
  check_scales(header, tensors, where);
  check_roles(header, tensors, where);
}

}    // namespace lmp_uq
