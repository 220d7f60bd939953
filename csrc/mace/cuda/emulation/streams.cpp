// SPDX-License-Identifier: GPL-2.0-or-later
// Streams, events and graphs. What is asked of a stream is done as late as CUDA allows: when somebody waits for it. A host that reads, or
// writes what is copied, too early has the wrong numbers; so has a kernel in another stream. A graph is such a list that is kept.
#include "mace/cuda/emulation/machine.h"

#include <chrono>
#include <deque>
#include <set>
#include <utility>

using Work = std::function<void()>;
struct CUgraph_st {
  struct Node { Work work; emulation::Uses uses; };
  std::vector<Node> nodes;
};
struct CUgraphExec_st : CUgraph_st {};
struct CUstream_st {
  bool blocking = true;                         // waits for the default stream, which waits for it
  std::deque<Work> queue;
  unsigned long n_asked = 0, n_done = 0;
  CUgraph_st *capture = nullptr;
};
struct CUevent_st {
  cudaStream_t stream = nullptr;                // nullptr: not recorded
  unsigned long place = 0;                      // of what was asked of the stream
  std::chrono::steady_clock::time_point time;
};

namespace emulation {
namespace {

CUstream_st &default_stream = *new CUstream_st;
std::set<cudaStream_t> &streams = *new std::set<cudaStream_t>{&default_stream};    // never gone, as memory is not
std::set<const void *> &alive = *new std::set<const void *>{&default_stream};    // streams, events, graphs
int n_captures;

void check_handle(const void *handle, const char *what)
{
  const Alone alone;
  if (!alive.count(handle)) fail("%s that was never made or is destroyed", what);
}

cudaStream_t found(cudaStream_t stream)
{
  if (!stream) return &default_stream;
  check_handle(stream, "a stream");
  return stream;
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

void finish(cudaStream_t stream, unsigned long place)
{
  while (stream->n_done < place) {
    const Work work = std::move(stream->queue.front());
    stream->queue.pop_front(), ++stream->n_done;
    open_device(true);
    work();
    open_device(false);
  }
}

void finish(cudaStream_t stream) { finish(stream, stream->n_asked); }

}    // namespace

bool capturing() { return n_captures > 0; }

void finish_all()
{
  const Alone alone;
  for (const cudaStream_t stream : streams) finish(stream);
}

cudaError_t submit(cudaStream_t given, Work work, Uses uses)
{
  const Alone alone;
  const cudaStream_t stream = found(given);
  if (const cudaError_t error = state()) return remember(error);
  if (stream == &default_stream && capturing()) return remember(cudaErrorStreamCaptureImplicit);
  if (stream->capture) {
    stream->capture->nodes.push_back({std::move(work), std::move(uses)});
    return cudaSuccess;
  }
  for (const cudaStream_t other : streams)
    if (stream->blocking && other->blocking && (stream == &default_stream) != (other == &default_stream)) finish(other);
  stream->queue.push_back(std::move(work)), ++stream->n_asked;
  return cudaSuccess;
}

}    // namespace emulation

using namespace emulation;

cudaError_t cudaStreamCreate(cudaStream_t *stream) { return cudaStreamCreateWithFlags(stream, 0); }
cudaError_t cudaEventCreate(cudaEvent_t *event) { return create(event); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) { return create(event); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return destroy(event, "an event"); }
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return destroy(graph, "a graph"); }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) { return destroy(exec, "a graph"); }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
  const Alone alone;
  const cudaError_t error = create(stream);
  streams.insert(*stream), (*stream)->blocking = !(flags & cudaStreamNonBlocking);
  return error;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
  const Alone alone;
  check_handle(stream, "a stream");
  finish(stream), streams.erase(stream);
  return destroy(stream, "a stream");
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
  const Alone alone;
  if (found(stream)->capture) return remember(cudaErrorStreamCaptureUnsupported);
  finish(found(stream));
  return remember(state());
}

cudaError_t cudaDeviceSynchronize()
{
  const Alone alone;
  if (capturing()) return remember(cudaErrorStreamCaptureUnsupported);
  finish_all();
  return remember(state());
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
  const Alone alone;
  check_handle(event, "an event");
  const cudaError_t error = submit(stream, [event] { event->time = std::chrono::steady_clock::now(); }, {});
  event->stream = found(stream), event->place = event->stream->n_asked;
  return error;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
  const Alone alone;
  check_handle(event, "an event");
  if (!event->stream) fail("a stream waits for an event that was not recorded");
  return submit(stream, [other = event->stream, place = event->place] { if (streams.count(other)) finish(other, place); }, {});
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
  const Alone alone;
  check_handle(event, "an event");
  if (!event->stream) fail("the host waits for an event that was not recorded");
  if (streams.count(event->stream)) finish(event->stream, event->place);
  return remember(state());
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t first, cudaEvent_t second)
{
  const Alone alone;
  check_handle(first, "an event"), check_handle(second, "an event");
  if (!first->stream || !second->stream) return remember(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(second->time - first->time).count();
  return state();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
  const Alone alone;
  if (!stream) return remember(cudaErrorStreamCaptureUnsupported);    // not of the default stream
  check_handle(stream, "a stream");
  alive.insert(stream->capture = new CUgraph_st);
  ++n_captures;
  return state();
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
  const Alone alone;
  check_handle(stream, "a stream");
  if (!stream->capture) return remember(cudaErrorInvalidValue);
  *graph = std::exchange(stream->capture, nullptr);
  --n_captures;
  return state();
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
  const Alone alone;
  check_handle(graph, "a graph");
  const cudaError_t error = create(exec);
  (*exec)->nodes = graph->nodes;
  return error;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
  const Alone alone;
  check_handle(exec, "a graph");
  note("graph", 1);
  for (const auto &node : exec->nodes)
    if (!still_there(node.uses)) fail("a graph uses memory that was freed or reallocated since it was captured");
  for (const auto &node : exec->nodes)
    if (const cudaError_t error = submit(stream, node.work, node.uses)) return error;
  return cudaSuccess;
}
