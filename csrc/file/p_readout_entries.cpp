// SPDX-License-Identifier: GPL-2.0-or-later
#include "file/p_readout_entries.h"

#include "file/rules.h"

namespace lmp_uq {

bool has_p_readout(const Json &header) { return is_given(find_path(header, "posterior.p_readout")); }

std::vector<HeaderBlock> with_p_readout(std::vector<HeaderBlock> all)
{
  using namespace rules;
  constexpr Presence required = Presence::Required, or_absent = Presence::OrAbsent;
  all.push_back({"posterior.p_readout", "", nullptr, {
    {"n_features", &AS_FEATURES, required, "", "P"},
    {"hidden", &FROM_ONE, required, "", "U, hidden units"},
    {"n_members", &FROM_ONE, required, "", "C, at least `n_members` and `n_force_members` of `posterior`"},
    {"hand_over", &EXACTLY_1, required, "", "grade of an atom above which POPS answers; needs `grade`"},
    {"noise", nullptr, or_absent, "", "random numbers that a member is made of"},
    {"trainings", nullptr, or_absent, "", "fair CRPS of each seed on frames kept back, and which was taken"},
    {"n_frames", nullptr, or_absent, "", "that trained it and stopped its training"},
    {"groups", nullptr, or_absent, "", "of each group that was judged: CRPS, spread over skill and rank correlation, beside POPS"}}});
  return all;
}

std::vector<TensorEntry> with_p_readout(std::vector<TensorEntry> all)
{
  const auto add = [&](const char *name, const std::vector<const char *> &shape, const char *unit, const char *meaning) {
    all.push_back({std::string("posterior/p_readout/") + name, shape, "float64", has_p_readout, unit, meaning});
  };
  add("input_mean", {"P"}, "", "of the descriptors");
  add("input_scale", {"P"}, "", "likewise, above 0");
  add("weight", {"U", "P"}, "", "W1 of the [P-readout](uncertainty.md#p-readout)");
  add("output", {"U"}, "eV", "w2");
  add("linear", {"P"}, "eV", "w0");
  add("member_bias", {"C", "U"}, "", "c_k; a run with n members, or n force members, uses the first n");
  return all;
}

std::size_t p_readout_length(const std::string &symbol, const Json &header)
{
  if (symbol == "U") return count_at(header, "posterior.p_readout.hidden");
  if (symbol == "C") return count_at(header, "posterior.p_readout.n_members");
  return 0;
}

}    // namespace lmp_uq
