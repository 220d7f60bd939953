// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/device_engine.h"

#include "base/text.h"
#include "mace/problem.h"

namespace lmp_uq {

DeviceEngine::DeviceEngine(const Json &architecture, const Tensors &tensors, const lmp_uq_engine_calls &calls, const lmp_uq_engine_options &options)
    : shape_(Architecture::read(architecture)), options_(options), handle_(std::make_shared<Handle>(calls))
{
  std::vector<lmp_uq_tensor> all;
  for (const auto &[name, tensor] : tensors)
    all.push_back({name.c_str(), static_cast<int>(tensor.dtype), static_cast<int>(tensor.shape.size()), tensor.shape.data(), tensor.data});
  const std::string text = json_text(architecture);
  without_problem([&](char *problem, int size) { handle_->engine = calls.make(text.c_str(), all.size(), all.data(), &options_, problem, size); });
}

DeviceEngine::~DeviceEngine() = default;

void DeviceEngine::prepare(const std::vector<int> &elements, std::shared_ptr<TableStore> store)
{
  char problem[MOST_TEXT] = "";
  store->keep_apart("they lie on its device");
  handle_->calls.prepare(handle_->engine, static_cast<int>(elements.size()), elements.data(), problem, MOST_TEXT);
  store->agree(problem);
}

double DeviceEngine::table_bytes_of(const std::vector<int> &elements) const
{
  return handle_->calls.table_bytes_of(handle_->engine, static_cast<int>(elements.size()), elements.data());
}

std::unique_ptr<Engine::State> DeviceEngine::evaluate(const AtomGraph &graph, const GhostExchange &exchange, bool keep, double *energies,
                                                      double *descriptors)
{
  const NeighbourList &list = graph.list;
  const lmp_uq_atom_graph g{graph.n_local, graph.n_nodes, graph.species, graph.n_edges, graph.centres, graph.neighbours, graph.vectors,
                            list.number, list.n_sites, list.node_of_site, list.site_of_node, list.site_of_edge, list.positions};
  void *state = nullptr;
  without_problem([&](char *problem, int size) {
    state = handle_->calls.evaluate(handle_->engine, &g, &exchange, keep, energies, descriptors, problem, size);
  });
  return state ? std::make_unique<Evaluated>(handle_, state) : nullptr;
}

void DeviceEngine::pull_to(const State &state, const GhostExchange &exchange, int n_sets, const double *energy_weights,
                           const double *descriptor_weights, const Pulled &out)
{
  const Evaluated &evaluated = dynamic_cast<const Evaluated &>(state);
  without_problem([&](char *problem, int size) {
    handle_->calls.pull(handle_->engine, evaluated.state, &exchange, n_sets, energy_weights, descriptor_weights, out.gradients, out.forces, out.virials, problem,
                        size);
  });
}

}    // namespace lmp_uq
