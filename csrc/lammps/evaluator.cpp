// SPDX-License-Identifier: GPL-2.0-or-later
#include "evaluator.h"

std::unique_ptr<lmp_uq::Evaluator> lmp_uq::load_evaluator(const Settings &settings, const ModelSource &source,
                                                          const std::vector<std::string> &elements, uq_model_info &info, std::string &note)
{
  note.clear();
  Settings asked = settings;
  if (settings.engine != "torch") {
    auto evaluator = make_native_evaluator(settings);
    try {
      info = evaluator->load(source, elements);
      note = evaluator->remark();
      return evaluator;
    } catch (const NotNative &reason) {
      if (settings.engine == "native") throw;
      note = std::string("engine torch, because ") + reason.what();
    }
    if (asked.device == "auto") asked.device = "cpu";    // torch on a GPU is not verified: it runs there only where somebody asks for it
  }
  auto evaluator = make_python_evaluator(asked);
  info = evaluator->load(source, elements);
  return evaluator;
}
