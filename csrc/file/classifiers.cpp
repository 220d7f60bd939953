// SPDX-License-Identifier: GPL-2.0-or-later
#include "file/classifiers.h"

#include "file/rules.h"

namespace lmp_uq {
namespace {

using namespace rules;

constexpr char PROBE[] = "calibration/probe/", ORDINAL[] = "calibration/ordinal/";

bool has_probe(const Json &header) { return is_given(find_path(header, "calibration.probe")); }
bool has_ordinal(const Json &header) { return is_given(find_path(header, "calibration.ordinal")); }

class Shapes {
 public:
  Shapes(std::vector<TensorEntry> &all, const char *section, bool (*is_there)(const Json &))
      : all_(all), section_(section), is_there_(is_there)
  {
  }

  void add(const std::string &name, const std::vector<const char *> &shape, const char *meaning)
  {
    all_.push_back({section_ + name, shape, "float64", is_there_, "", meaning});
  }

  void dense(const std::string &name, const char *length, const char *width, const char *meaning)
  {
    add(name + "_weight", {length, width}, meaning);
    add(name + "_bias", {length}, meaning);
  }

  void norm(const std::string &name, const char *length, const char *meaning)
  {
    add(name + "_gain", {length}, meaning);
    add(name + "_shift", {length}, meaning);
  }

 private:
  std::vector<TensorEntry> &all_;
  const std::string section_;
  bool (*is_there_)(const Json &);
};

void add_probe(std::vector<TensorEntry> &all)
{
  Shapes shapes(all, PROBE, has_probe);
  shapes.add("input_mean", {"P"}, "of the descriptors");
  shapes.add("input_scale", {"P"}, "likewise");
  shapes.dense("encoder_0", "H", "P", "of an atom, first layer");
  shapes.norm("encoder_0", "H", "layer norm behind it");
  shapes.dense("encoder_1", "W", "H", "of an atom, second layer");
  shapes.norm("encoder_1", "W", "layer norm behind it");
  for (const char *name : {"query", "key", "value", "output"}) shapes.dense(name, "W", "W", "attention of the atoms of a frame");
  shapes.norm("attention", "W", "layer norm of an atom's code plus attention");
  shapes.dense("classifier_0", "W", "2 W", "of mean and largest over the atoms, first layer");
  shapes.norm("classifier_0", "W", "layer norm behind it");
  shapes.dense("classifier_1", "W", "W", "second layer");
  shapes.norm("classifier_1", "W", "layer norm behind it");
  shapes.dense("classifier_2", "1", "W", "last layer: logit of an error above the boundary");
}

void add_ordinal(std::vector<TensorEntry> &all)
{
  Shapes shapes(all, ORDINAL, has_ordinal);
  shapes.add("input_mean", {"P + 3"}, "of the descriptors, log(abs(F) + 0.01), log(grade + 0.05), log(grade of the neighbours + 0.05)");
  shapes.add("input_scale", {"P + 3"}, "likewise");
  shapes.add("weight_0", {"O1", "P + 3"}, "first layer");
  shapes.add("bias_0", {"O1"}, "first layer");
  shapes.add("weight_1", {"O2", "O1"}, "second layer");
  shapes.add("bias_1", {"O2"}, "second layer");
  shapes.add("weight_2", {"T", "O2"}, "last layer: logit of the first threshold, then steps down through softplus");
  shapes.add("bias_2", {"T"}, "last layer");
}

}    // namespace

std::vector<HeaderBlock> with_classifiers(std::vector<HeaderBlock> all)
{
  constexpr Presence required = Presence::Required, or_absent = Presence::OrAbsent;
  all.push_back({"calibration.probe", "", nullptr, {
    {"n_features", &AS_FEATURES, required, "", "P"},
    {"hidden", &FROM_ONE, required, "", "H, width of the hidden layer of the encoder"},
    {"width", &FROM_ONE, required, "", "W, length of the code of an atom"},
    {"heads", &DIVIDES_WIDTH, required, "", "of the attention"},
    {"boundary", &POSITIVE, required, "eV/atom", "of abs(energy error) / N, above which a frame is unreliable"},
    {"n_frames", nullptr, or_absent, "", "of `training`, `stopping`, `held_out`"},
    {"n_too_large", nullptr, or_absent, "", "frames of too many atoms to train on"},
    {"epochs", nullptr, or_absent, "", "that the training took"},
    {"held_out", nullptr, or_absent, "", "what it is worth on frames left out"},
    {"groups_left_out", nullptr, or_absent, "", "likewise, of each group, by classifiers of the other groups"}}});
  all.push_back({"calibration.ordinal", "", nullptr, {
    {"n_features", &AS_FEATURES, required, "", "P"},
    {"hidden", &HIDDEN, required, "", "O1 and O2, widths of the hidden layers"},
    {"thresholds", &THRESHOLDS, required, "eV/Angstrom", "T of them, of the force error"},
    {"n_frames", nullptr, or_absent, "", "of `training`, `stopping`"},
    {"epochs", nullptr, or_absent, "", "that the training took"},
    {"held_out", nullptr, or_absent, "", "what it is worth on frames left out"},
    {"groups_left_out", nullptr, or_absent, "", "likewise, of each group, by heads of the other groups"}}});
  return all;
}

std::vector<TensorEntry> with_classifiers(std::vector<TensorEntry> all)
{
  add_probe(all);
  add_ordinal(all);
  return all;
}

std::size_t classifier_length(const std::string &symbol, const Json &header)
{
  if (symbol == "1") return 1;
  if (symbol == "H") return count_at(header, "calibration.probe.hidden");
  if (symbol == "W") return count_at(header, "calibration.probe.width");
  if (symbol == "2 W") return 2 * classifier_length("W", header);
  if (symbol == "P + 3") return length("P", header) + 3;
  if (symbol == "T") return find_path(header, "calibration.ordinal.thresholds")->array().size();
  if (symbol == "O1" || symbol == "O2") return find_path(header, "calibration.ordinal.hidden")->array()[symbol == "O2"].integer();
  return 0;
}

}    // namespace lmp_uq
