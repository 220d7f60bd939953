// SPDX-License-Identifier: GPL-2.0-or-later
// The engine behind its C interface: no exception leaves this object.
#include "mace/cuda/engine_calls.h"

#include "base/json.h"
#include "mace/cuda/cuda_engine.h"

#include <cstring>

using lmp_uq::Engine;

namespace {

template <class F> int guarded(uq_error *error, const F &work)
{
  try {
    work();
    return 0;
  } catch (const std::exception &problem) {
    std::strncpy(error->text, problem.what(), sizeof(error->text) - 1);
    error->text[sizeof(error->text) - 1] = '\0';
    return 1;
  }
}

Engine &of(void *engine) { return *static_cast<Engine *>(engine); }

// processes share no tables of a device: each has its own
class NoStore : public lmp_uq::PrivateTables {};

std::unique_ptr<Engine> made(const char *architecture, size_t n_tensors, const uq_tensor *tensors, const uq_engine_options &options)
{
  lmp_uq::Tensors all;
  for (size_t k = 0; k < n_tensors; ++k) {
    const uq_tensor &t = tensors[k];
    all[t.name] = {static_cast<lmp_uq::DType>(t.dtype), {t.shape, t.shape + t.n_axes}, t.data};
  }
  lmp_uq::require(cudaSetDevice(options.device));
  const lmp_uq::Architecture shape = lmp_uq::Architecture::read(lmp_uq::Json::parse(architecture));
  if (options.single_precision) return std::make_unique<lmp_uq::cuda::CudaEngine<float>>(shape, std::move(all), options.table_tolerance, options.threads);
  return std::make_unique<lmp_uq::cuda::CudaEngine<double>>(shape, std::move(all), options.table_tolerance, options.threads);
}

int make(const char *architecture, size_t n_tensors, const uq_tensor *tensors, const uq_engine_options *options, void **engine, uq_error *error)
{
  return guarded(error, [&] { *engine = made(architecture, n_tensors, tensors, *options).release(); });
}

void free_engine(void *engine) { delete static_cast<Engine *>(engine); }

int prepare(void *engine, int n, const int *elements, uq_error *error)
{
  return guarded(error, [&] { of(engine).prepare({elements, elements + n}, std::make_shared<NoStore>()); });
}

double table_bytes_of(void *engine, int n, const int *elements) { return of(engine).table_bytes_of({elements, elements + n}); }
size_t table_bytes(void *engine) { return of(engine).table_bytes(); }
size_t n_bytes(void *engine) { return of(engine).n_bytes(); }
int exchange_width(void *engine, int n_sets) { return of(engine).exchange_width(n_sets); }

int evaluate(void *engine, const uq_atom_graph *graph, const uq_ghost_exchange *exchange, int keep, double *energies, double *descriptors, void **state,
             uq_error *error)
{
  return guarded(error, [&] {
    const lmp_uq::AtomGraph g{graph->n_local, graph->n_nodes, graph->species, graph->n_edges, graph->centres, graph->neighbours, graph->vectors};
    *state = of(engine).evaluate(g, *exchange, keep, energies, descriptors).release();
  });
}

int pull(void *engine, const void *state, const uq_ghost_exchange *exchange, int n_sets, const double *energy_weights, const double *descriptor_weights,
         double *gradients, uq_error *error)
{
  return guarded(error, [&] {
    of(engine).pull(*static_cast<const Engine::State *>(state), *exchange, n_sets, energy_weights, descriptor_weights, gradients);
  });
}

size_t state_bytes(const void *state) { return static_cast<const Engine::State *>(state)->n_bytes(); }
void free_state(void *state) { delete static_cast<Engine::State *>(state); }

}    // namespace

extern "C" __attribute__((visibility("default"))) const uq_engine_calls *lmp_uq_cuda_engine()
{
  static const uq_engine_calls calls = {make, free_engine, prepare, table_bytes_of, table_bytes, n_bytes, exchange_width, evaluate, pull, state_bytes,
                                        free_state};
  return &calls;
}
