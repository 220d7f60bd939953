// SPDX-License-Identifier: GPL-2.0-or-later
// The engine of the library of a device, as an Engine.
#ifndef LMP_UQ_DEVICE_ENGINE_H
#define LMP_UQ_DEVICE_ENGINE_H

#include "mace/engine.h"
#include "mace/engine_calls.h"

namespace lmp_uq {

class DeviceEngine : public ListEngine {
 public:
  // std::runtime_error: as Engine::make, or what the device lacks
  DeviceEngine(const Json &architecture, const Tensors &tensors, const lmp_uq_engine_calls &calls, const lmp_uq_engine_options &options);
  ~DeviceEngine() override;
  DeviceEngine(const DeviceEngine &) = delete;
  DeviceEngine &operator=(const DeviceEngine &) = delete;

  void prepare(const std::vector<int> &elements, std::shared_ptr<TableStore> store) override;
  double table_bytes_of(const std::vector<int> &elements) const override;
  const Architecture &shape() const override { return shape_; }
  const char *instruction_set() const override { return "CUDA"; }
  std::string device() const override { return "cuda:" + std::to_string(options_.device); }
  std::size_t table_bytes() const override { return handle_->calls.table_bytes(handle_->engine); }
  std::size_t n_bytes() const override { return handle_->calls.n_bytes(handle_->engine); }
  int n_threads() const override { return options_.threads; }
  int exchange_width(int n_sets) const override { return handle_->calls.exchange_width(handle_->engine, n_sets); }
  std::unique_ptr<State> evaluate(const AtomGraph &graph, const GhostExchange &exchange, bool keep, double *energies,
                                  double *descriptors) override;
  void pull_to(const State &state, const GhostExchange &exchange, int n_sets, const PullWeights &weights, const Pulled &out) override;
  std::unique_ptr<Head> make_head(const lmp_uq_head_matrices &matrices) override;
  void descriptors(const State &state, double *out) override;

 private:
  struct Handle {
    explicit Handle(const lmp_uq_engine_calls &c) : calls(c) {}
    ~Handle() { calls.free(engine); }
    Handle(const Handle &) = delete;
    Handle &operator=(const Handle &) = delete;
    const lmp_uq_engine_calls &calls;
    void *engine = nullptr;
  };
  struct Evaluated : State {    // may outlive the DeviceEngine, but not what it is of
    Evaluated(std::shared_ptr<Handle> h, void *s) : handle(std::move(h)), state(s) {}
    ~Evaluated() override { handle->calls.free_state(handle->engine, state); }
    std::size_t n_bytes() const override { return handle->calls.state_bytes(state); }
    void forget_derivatives() override { handle->calls.forget_derivatives(state); }
    std::shared_ptr<Handle> handle;
    void *state;
  };
  class DeviceHead;

  Architecture shape_;
  lmp_uq_engine_options options_;
  std::shared_ptr<Handle> handle_;
};

}    // namespace lmp_uq
#endif
