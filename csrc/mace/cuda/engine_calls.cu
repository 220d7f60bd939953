// SPDX-License-Identifier: GPL-2.0-or-later
// The engine behind its C interface.
#include "mace/engine_calls.h"

#include "base/json.h"
#include "mace/cuda/cuda_engine.h"
#include "mace/cuda/guarded.h"

namespace lmp_uq {

namespace {

// CUDA has a device for each thread of the host: every call says which.
struct OnDevice {
  int device;
  std::unique_ptr<ListEngine> engine;
};

ListEngine &of(void *handle)
{
  OnDevice &held = *static_cast<OnDevice *>(handle);
  require(cudaSetDevice(held.device));
  return *held.engine;
}

const Engine &seen(void *handle) { return *static_cast<OnDevice *>(handle)->engine; }    // on the host alone

void *make(const char *architecture, size_t n_tensors, const lmp_uq_tensor *tensors, const lmp_uq_engine_options *options, char *problem, int size)
{
  std::unique_ptr<OnDevice> made;
  guarded(problem, size, [&] {
    Tensors all;
    for (size_t k = 0; k < n_tensors; ++k) {
      const lmp_uq_tensor &t = tensors[k];
      all[t.name] = {static_cast<DType>(t.dtype), {t.shape, t.shape + t.n_axes}, t.data};
    }
    require(cudaSetDevice(options->device));
    made = std::make_unique<OnDevice>();
    made->device = options->device;
    const Architecture shape = Architecture::read(Json::parse(architecture));
    if (options->single_precision)
      made->engine = std::make_unique<cuda::CudaEngine<float>>(shape, std::move(all), *options);
    else
      made->engine = std::make_unique<cuda::CudaEngine<double>>(shape, std::move(all), *options);
  });
  return problem[0] ? nullptr : made.release();
}

void free_engine(void *handle)
{
  if (!handle) return;
  static_cast<void>(cudaSetDevice(static_cast<OnDevice *>(handle)->device));
  delete static_cast<OnDevice *>(handle);
}

void prepare(void *handle, int n, const int *elements, char *problem, int size)
{
  guarded(problem, size, [&] { of(handle).prepare({elements, elements + n}, std::make_shared<PrivateTables>()); });
}

double table_bytes_of(void *handle, int n, const int *elements) { return seen(handle).table_bytes_of({elements, elements + n}); }
size_t table_bytes(void *handle) { return seen(handle).table_bytes(); }
size_t n_bytes(void *handle) { return seen(handle).n_bytes(); }
int exchange_width(void *handle, int n_sets) { return seen(handle).exchange_width(n_sets); }

void *evaluate(void *handle, const lmp_uq_atom_graph *graph, const uq_ghost_exchange *exchange, int keep, double *energies, double *descriptors,
               char *problem, int size)
{
  std::unique_ptr<Engine::State> state;
  guarded(problem, size, [&] {
    const AtomGraph g{graph->n_local, graph->n_nodes, graph->species, graph->n_edges, graph->centres, graph->neighbours, graph->vectors,
                      {graph->list, graph->n_sites, graph->node_of_site, graph->site_of_node, graph->site_of_edge, graph->positions}};
    state = of(handle).evaluate(g, *exchange, keep, energies, descriptors);
  });
  return state.release();
}

void pull(void *handle, const void *state, const uq_ghost_exchange *exchange, int n_sets, const lmp_uq_pull_weights *weights,
          double *gradients, double *forces, double *virials, char *problem, int size)
{
  guarded(problem, size, [&] {
    of(handle).pull_to(*static_cast<const Engine::State *>(state), *exchange, n_sets, *weights,
                       {gradients, forces, virials});
  });
}

size_t state_bytes(const void *state) { return static_cast<const Engine::State *>(state)->n_bytes(); }

void descriptors(void *handle, const void *state, double *out, char *problem, int size)
{
  guarded(problem, size, [&] { of(handle).descriptors(*static_cast<const Engine::State *>(state), out); });
}

void forget_derivatives(void *state) { static_cast<Engine::State *>(state)->forget_derivatives(); }

void free_state(void *handle, void *state)
{
  static_cast<void>(cudaSetDevice(static_cast<OnDevice *>(handle)->device));
  delete static_cast<Engine::State *>(state);
}

void *make_head(void *handle, const lmp_uq_head_matrices *matrices, char *problem, int size)
{
  std::unique_ptr<Engine::Head> head;
  guarded(problem, size, [&] { head = of(handle).make_head(*matrices); });
  return head.release();
}

void free_head(void *handle, void *head)
{
  if (!head) return;
  static_cast<void>(cudaSetDevice(static_cast<OnDevice *>(handle)->device));
  delete static_cast<Engine::Head *>(head);
}

size_t head_bytes(const void *head) { return static_cast<const Engine::Head *>(head)->n_bytes(); }

// a call of a head about a state, after which `A...` are numbers of the host
template <auto METHOD, class... A> void of_state(void *handle, void *head, const void *state, A... a, char *problem, int size)
{
  guarded(problem, size, [&] {
    of(handle);
    (static_cast<Engine::Head *>(head)->*METHOD)(*static_cast<const Engine::State *>(state), a...);
  });
}

void force_values(void *handle, void *head, size_t n, const lmp_uq_force_columns *v, const void *formula, double *values, char *problem, int size)
{
  guarded(problem, size, [&] {
    of(handle);
    static_cast<Engine::Head *>(head)->force_values(n, {v->force, v->grade, v->neighbours, v->correction}, *static_cast<const ForceFormula *>(formula),
                                                    values);
  });
}

void member_std(void *handle, void *head, size_t n, int n_members, const double *forces, double *std, char *problem, int size)
{
  guarded(problem, size, [&] {
    of(handle);
    static_cast<Engine::Head *>(head)->member_std(n, n_members, forces, std);
  });
}

const lmp_uq_head_calls HEAD_CALLS = {make_head, free_head, head_bytes, of_state<&Engine::Head::energy_bars, double *, double *, double *>,
                                      of_state<&Engine::Head::grades, double *>, force_values, member_std, of_state<&Engine::Head::feature_sum, double *>,
                                      of_state<&Engine::Head::neighbour_means, const double *, double *>};

}    // namespace

const lmp_uq_engine_calls &engine_calls()
{
  static const lmp_uq_engine_calls calls = {make, free_engine, prepare, table_bytes_of, table_bytes, n_bytes, exchange_width, evaluate, pull, state_bytes,
                                            descriptors, forget_derivatives, free_state, &HEAD_CALLS};
  return calls;
}

}    // namespace lmp_uq
