// SPDX-License-Identifier: GPL-2.0-or-later
#include "evaluator.h"

#include <algorithm>

double *lmp_uq::EdgePulls::gradients(const uq_graph &graph, int n, const Pulled &out)
{
  if (out.gradients) return out.gradients;
  scratch_.resize(3 * static_cast<std::size_t>(n) * graph.n_edges + 1);    // never empty: a pointer is handed over
  return scratch_.data();
}

void lmp_uq::EdgePulls::add_up(const uq_graph &graph, int n, const Pulled &out)
{
  const EdgeSums::Edges edges = {graph.n_local + graph.n_ghost, graph.n_edges, graph.centres, graph.neighbours, graph.vectors};
  const std::size_t n_forces = 3 * static_cast<std::size_t>(edges.n_nodes);
  if (out.forces) std::fill_n(out.forces, n * n_forces, 0.0);
  if (out.virials) std::fill_n(out.virials, 6 * n, 0.0);
  for (int k = 0; k < n; k++) {
    const double *gradient = gradients(graph, n, out) + 3 * k * graph.n_edges;
    if (out.forces) sums_.add_forces(edges, gradient, out.forces + k * n_forces);
    if (out.virials) sums_.add_virial(edges, gradient, out.virials + 6 * k, nullptr);
  }
}

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
