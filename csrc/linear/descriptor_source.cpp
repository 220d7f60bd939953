// SPDX-License-Identifier: GPL-2.0-or-later
#include "linear/descriptor_source.h"

#include "linear/snap_descriptors.h"

namespace lmp_uq {
namespace {

// the columns of any per-atom compute, in the order of the file's elements: what another order of types needs only its author knows
class ComputeColumns : public DescriptorSource {
 public:
  ComputeColumns(const Json &backbone, std::size_t n_elements)
      : architecture_(&backbone.at("architecture")), n_(static_cast<std::size_t>(backbone.at("n_features").integer()) / n_elements)
  {
  }

  std::size_t n_descriptors() const override { return n_; }
  std::string pair_style() const override { return architecture_->at("pair").string(); }

  std::string compute(Role role, const std::vector<int> &) const override
  {
    const Json &computes = architecture_->at("computes");
    const std::string words = computes.at(role == DESCRIPTORS ? "descriptors" : role == GRADIENT ? "gradient" : "virial").string();
    if (!words.empty()) return words;
    return std::string("one that gives the ") + (role == GRADIENT ? "derivatives as snad/atom or podd/atom does" : "virials as snav/atom does");
  }

  std::string suspects() const override { return "compare the compute's words and files, the order of types and the coefficients"; }

 private:
  const Json *architecture_;
  std::size_t n_;
};

}    // namespace

std::unique_ptr<DescriptorSource> DescriptorSource::of(const Json &backbone, std::size_t n_elements)
{
  if (backbone.at("family").string() == "snap") return std::make_unique<SnapDescriptors>(backbone.at("architecture"), n_elements);
  return std::make_unique<ComputeColumns>(backbone, n_elements);
}

}    // namespace lmp_uq
