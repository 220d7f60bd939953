// SPDX-License-Identifier: GPL-2.0-or-later
#include "evaluator.h"

#include "model_name.h"

#include <unistd.h>

// the driver's device node: asking CUDA itself would need its libraries; lmp_uq.backbone asks the same
static bool has_gpu() { return access("/dev/nvidiactl", F_OK) == 0; }

std::unique_ptr<lmp_uq::Evaluator> lmp_uq::load_evaluator(const Settings &settings, const std::string &file,
                                                          const std::vector<std::string> &elements, uq_model_info &info, std::string &note)
{
  note.clear();
  resolve_model(file);    // a missing file is said before an interpreter is started
  if (settings.engine == "auto" && settings.device == "auto" && has_gpu()) {
    note = "engine torch, because there is a GPU";
  } else if (settings.engine != "torch") {
    auto evaluator = make_native_evaluator(settings);
    try {
      info = evaluator->load(file, elements);
      return evaluator;
    } catch (const NotNative &reason) {
      if (settings.engine == "native") throw;
      note = std::string("engine torch, because ") + reason.what();
    }
  }
  auto evaluator = make_python_evaluator(settings);
  info = evaluator->load(file, elements);
  return evaluator;
}
