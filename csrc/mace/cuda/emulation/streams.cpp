// SPDX-License-Identifier: GPL-2.0-or-later
// Streams, events and graphs. A graph is the list of what was asked for, with the arguments' values of then.
#include "mace/cuda/emulation/machine.h"

#include <chrono>
#include <set>
#include <utility>

struct CUgraph_st {
  struct Node { std::function<void()> work; emulation::Uses uses; };
  std::vector<Node> nodes;
};
struct CUgraphExec_st : CUgraph_st {};
struct CUstream_st { CUgraph_st *capture = nullptr; };
struct CUevent_st { bool recorded = false; std::chrono::steady_clock::time_point time; };

namespace emulation {
namespace {

std::set<const void *> alive;    // streams, events, graphs
int n_captures;

void check_handle(const void *handle, const char *what)
{
  const Alone alone;
  if (!alive.count(handle)) fail("%s that was never made or is destroyed", what);
}

template <class T> cudaError_t create(T **out)
{
  const Alone alone;
  alive.insert(*out = new T);
  return remember(state());
}

template <class T> cudaError_t destroy(T *handle, const char *what)
{
  const Alone alone;
  check_handle(handle, what);
  alive.erase(handle);
  delete handle;
  return cudaSuccess;
}

}    // namespace

bool capturing() { return n_captures > 0; }

cudaError_t submit(cudaStream_t stream, std::function<void()> work, Uses uses)
{
  const Alone alone;
  if (stream) check_handle(stream, "a stream");
  if (const cudaError_t error = state()) return remember(error);
  if (!stream && capturing()) return remember(cudaErrorStreamCaptureImplicit);
  if (stream && stream->capture) {
    stream->capture->nodes.push_back({std::move(work), std::move(uses)});
    return cudaSuccess;
  }
  open_device(true);
  work();
  open_device(false);
  return remember(state());
}

}    // namespace emulation

using namespace emulation;

cudaError_t cudaStreamCreate(cudaStream_t *stream) { return create(stream); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) { return create(stream); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return destroy(stream, "a stream"); }
cudaError_t cudaEventCreate(cudaEvent_t *event) { return create(event); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) { return create(event); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return destroy(event, "an event"); }
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return destroy(graph, "a graph"); }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) { return destroy(exec, "a graph"); }

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
  if (stream) check_handle(stream, "a stream");
  return remember(stream && stream->capture ? cudaErrorStreamCaptureUnsupported : state());
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
  if (stream) check_handle(stream, "a stream");
  check_handle(event, "an event");
  if (!event->recorded) fail("a stream waits for an event that was not recorded");
  return state();
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
  check_handle(event, "an event");
  event->recorded = true;
  return submit(stream, [event] { event->time = std::chrono::steady_clock::now(); }, {});
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
  check_handle(event, "an event");
  if (!event->recorded) fail("the host waits for an event that was not recorded");
  return remember(state());
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t first, cudaEvent_t second)
{
  check_handle(first, "an event"), check_handle(second, "an event");
  if (!first->recorded || !second->recorded) return remember(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(second->time - first->time).count();
  return state();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
  if (!stream) return remember(cudaErrorStreamCaptureUnsupported);    // not of the default stream
  check_handle(stream, "a stream");
  alive.insert(stream->capture = new CUgraph_st);
  ++n_captures;
  return state();
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
  check_handle(stream, "a stream");
  if (!stream->capture) return remember(cudaErrorInvalidValue);
  *graph = std::exchange(stream->capture, nullptr);
  --n_captures;
  return state();
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
  check_handle(graph, "a graph");
  const cudaError_t error = create(exec);
  (*exec)->nodes = graph->nodes;
  return error;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
  check_handle(exec, "a graph");
  for (const auto &node : exec->nodes)
    if (!still_there(node.uses)) fail("a graph uses memory that was freed or reallocated since it was captured");
  for (const auto &node : exec->nodes)
    if (const cudaError_t error = submit(stream, node.work, node.uses)) return error;
  return cudaSuccess;
}
