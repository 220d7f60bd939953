// SPDX-License-Identifier: GPL-2.0-or-later
// The engine of the shared object with the kernels of a device, as an Engine.
#ifndef LMP_UQ_DEVICE_ENGINE_H
#define LMP_UQ_DEVICE_ENGINE_H

#include "mace/cpu/engine.h"
#include "mace/cuda/engine_calls.h"

namespace lmp_uq {

const uq_engine_calls &device_calls();

class DeviceEngine : public Engine {
 public:
  DeviceEngine(const Json &architecture, const Tensors &tensors, const uq_engine_calls &calls, const uq_engine_options &options);
  ~DeviceEngine() override { calls_.free(engine_); }
  DeviceEngine(const DeviceEngine &) = delete;
  DeviceEngine &operator=(const DeviceEngine &) = delete;

  void prepare(const std::vector<int> &elements, std::shared_ptr<TableStore> store) override;
  double table_bytes_of(const std::vector<int> &elements) const override;
  const Architecture &shape() const override { return shape_; }
  const char *instruction_set() const override { return "CUDA"; }
  std::size_t table_bytes() const override { return calls_.table_bytes(engine_); }
  std::size_t n_bytes() const override { return calls_.n_bytes(engine_); }
  int n_threads() const override { return options_.threads; }
  int exchange_width(int n_sets) const override { return calls_.exchange_width(engine_, n_sets); }
  std::unique_ptr<State> evaluate(const AtomGraph &graph, const GhostExchange &exchange, bool keep, double *energies,
                                  double *descriptors) override;
  void pull(const State &state, const GhostExchange &exchange, int n_sets, const double *energy_weights, const double *descriptor_weights,
            double *gradients) override;

 private:
  struct Evaluated : State {
    Evaluated(const uq_engine_calls &c, void *s) : calls(c), state(s) {}
    ~Evaluated() override { calls.free_state(state); }
    std::size_t n_bytes() const override { return calls.state_bytes(state); }
    const uq_engine_calls &calls;
    void *state;
  };

  Architecture shape_;
  const uq_engine_calls &calls_;
  uq_engine_options options_;
  void *engine_ = nullptr;
};

}    // namespace lmp_uq
#endif
