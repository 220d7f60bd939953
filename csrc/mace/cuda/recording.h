// SPDX-License-Identifier: GPL-2.0-or-later
// Launches that are the same at many steps, recorded once and given to the device as one: what a small system's step consists of.
#ifndef LMP_UQ_CUDA_RECORDING_H
#define LMP_UQ_CUDA_RECORDING_H

#include "mace/cuda/device.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace lmp_uq::cuda {

class Recording {
 public:
  using Key = std::vector<std::uintptr_t>;    // all that the arguments of the launches depend on, but for what their arrays hold

  Recording() = default;
  Recording(const Recording &) = delete;
  Recording &operator=(const Recording &) = delete;
  ~Recording() { forget(); }

  // work launches kernels on the stream and nothing else, once its arrays have their sizes. It is called when a key comes for the first time,
  // which gives them these, recorded at the second, and no longer called while the key stays and no array of the device moves.
  template <class F> void run(cudaStream_t stream, Key key, const F &work)
  {
    key.push_back(detail::n_moves());
    if (key != key_) {
      forget();
      work();
      key.back() = detail::n_moves();
      key_ = std::move(key);
      return;
    }
    if (!exec_) record(stream, work);
    require(cudaGraphLaunch(exec_, stream));
  }

 private:
  template <class F> void record(cudaStream_t stream, const F &work)
  {
    cudaGraph_t graph = nullptr;
    require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    try {
      work();
    } catch (...) {
      if (cudaStreamEndCapture(stream, &graph) == cudaSuccess && graph) static_cast<void>(cudaGraphDestroy(graph));
      throw;
    }
    require(cudaStreamEndCapture(stream, &graph));
    const cudaError_t made = cudaGraphInstantiate(&exec_, graph, 0);
    static_cast<void>(cudaGraphDestroy(graph));
    require(made);
  }
  void forget()
  {
    if (exec_) static_cast<void>(cudaGraphExecDestroy(std::exchange(exec_, nullptr)));
    key_.clear();
  }

  Key key_;
  cudaGraphExec_t exec_ = nullptr;
};

}    // namespace lmp_uq::cuda
#endif
