// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/device_engine.h"

#include "base/json_text.h"

#include <cstdlib>
#include <dlfcn.h>
#include <stdexcept>

namespace lmp_uq {

namespace {

void check(int failed, const uq_error &error)
{
  if (failed) throw std::runtime_error(error.text);
}

}    // namespace

const uq_engine_calls &device_calls()
{
  void *library = dlopen(std::getenv("LMP_UQ_CUDA_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw std::runtime_error(dlerror());
  return *reinterpret_cast<const uq_engine_calls *(*)()>(dlsym(library, "lmp_uq_cuda_engine"))();
}

DeviceEngine::DeviceEngine(const Json &architecture, const Tensors &tensors, const uq_engine_calls &calls, const uq_engine_options &options)
    : shape_(Architecture::read(architecture)), calls_(calls), options_(options)
{
  std::vector<uq_tensor> all;
  for (const auto &[name, tensor] : tensors)
    all.push_back({name.c_str(), static_cast<int>(tensor.dtype), static_cast<int>(tensor.shape.size()), tensor.shape.data(), tensor.data});
  uq_error error{};
  check(calls_.make(text_of(architecture).c_str(), all.size(), all.data(), &options_, &engine_, &error), error);
}

void DeviceEngine::prepare(const std::vector<int> &elements, std::shared_ptr<TableStore> store)
{
  uq_error error{};
  const int failed = calls_.prepare(engine_, static_cast<int>(elements.size()), elements.data(), &error);
  store->agree(failed ? error.text : "");    // each process has tables of its own on its device
}

double DeviceEngine::table_bytes_of(const std::vector<int> &elements) const
{
  return calls_.table_bytes_of(engine_, static_cast<int>(elements.size()), elements.data());
}

std::unique_ptr<Engine::State> DeviceEngine::evaluate(const AtomGraph &graph, const GhostExchange &exchange, bool keep, double *energies,
                                                      double *descriptors)
{
  const uq_atom_graph g{graph.n_local, graph.n_nodes, graph.species, graph.n_edges, graph.centres, graph.neighbours, graph.vectors};
  void *state = nullptr;
  uq_error error{};
  check(calls_.evaluate(engine_, &g, &exchange, keep, energies, descriptors, &state, &error), error);
  return state ? std::make_unique<Evaluated>(calls_, state) : nullptr;
}

void DeviceEngine::pull(const State &state, const GhostExchange &exchange, int n_sets, const double *energy_weights, const double *descriptor_weights,
                        double *gradients)
{
  const Evaluated &evaluated = dynamic_cast<const Evaluated &>(state);
  uq_error error{};
  check(calls_.pull(engine_, evaluated.state, &exchange, n_sets, energy_weights, descriptor_weights, gradients, &error), error);
}

}    // namespace lmp_uq
