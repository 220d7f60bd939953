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

void DeviceEngine::pull_to(const State &state, const GhostExchange &exchange, int n_sets, const PullWeights &weights, const Pulled &out)
{
  const Evaluated &evaluated = dynamic_cast<const Evaluated &>(state);
  without_problem([&](char *problem, int size) {
    handle_->calls.pull(handle_->engine, evaluated.state, &exchange, n_sets, &weights, out.gradients, out.forces, out.virials, problem, size);
  });
}

void DeviceEngine::descriptors(const State &state, double *out)
{
  const Evaluated &evaluated = dynamic_cast<const Evaluated &>(state);
  without_problem([&](char *problem, int size) { handle_->calls.descriptors(handle_->engine, evaluated.state, out, problem, size); });
}

class DeviceEngine::DeviceHead : public Engine::Head {
 public:
  DeviceHead(std::shared_ptr<Handle> handle, const lmp_uq_head_matrices &matrices) : handle_(std::move(handle)), calls_(*handle_->calls.head)
  {
    without_problem([&](char *problem, int size) { head_ = calls_.make(handle_->engine, &matrices, problem, size); });
  }
  ~DeviceHead() override { calls_.free(handle_->engine, head_); }
  DeviceHead(const DeviceHead &) = delete;
  DeviceHead &operator=(const DeviceHead &) = delete;

  std::size_t n_bytes() const override { return calls_.n_bytes(head_); }
  void energy_bars(const State &state, double *std, double *lower, double *upper) override { call(calls_.energy_bars, of(state), std, lower, upper); }
  void grades(const State &state, double *grade) override { call(calls_.grades, of(state), grade); }
  void feature_sum(const State &state, double *sum) override { call(calls_.feature_sum, of(state), sum); }
  void neighbour_means(const State &state, const double *values, double *means) override { call(calls_.neighbour_means, of(state), values, means); }
  void force_values(std::size_t n, const ForceColumns &v, const ForceFormula &formula, double *values) override
  {
    const lmp_uq_force_columns variables{v.force, v.grade, v.neighbours, v.correction};
    call(calls_.force_values, n, &variables, static_cast<const void *>(&formula), values);
  }

  void member_std(std::size_t n, int n_members, const double *forces, double *std) override { call(calls_.member_std, n, n_members, forces, std); }

 private:
  static const void *of(const State &state) { return dynamic_cast<const Evaluated &>(state).state; }
  template <class F, class... A> void call(F function, A... a)
  {
    without_problem([&](char *problem, int size) { function(handle_->engine, head_, a..., problem, size); });
  }

  std::shared_ptr<Handle> handle_;
  const lmp_uq_head_calls &calls_;
  void *head_ = nullptr;
};

std::unique_ptr<Engine::Head> DeviceEngine::make_head(const lmp_uq_head_matrices &matrices) { return std::make_unique<DeviceHead>(handle_, matrices); }

}    // namespace lmp_uq
