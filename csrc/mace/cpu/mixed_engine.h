// SPDX-License-Identifier: GPL-2.0-or-later
// The engine in float64 whose pulls of descriptor weights alone run in float32: error bars need no more, and cost half.
#ifndef LMP_UQ_MIXED_ENGINE_H
#define LMP_UQ_MIXED_ENGINE_H

#include "mace/cpu/mace_engine.h"

namespace lmp_uq {

class MixedEngine : public Engine {
 public:
  // tolerances: of the tables in float64 and in float32, see RadialKnots
  MixedEngine(const Architecture &architecture, const Tensors &tensors, double tolerance, double single_tolerance, int n_threads);

  void prepare(const std::vector<int> &elements, std::shared_ptr<TableStore> store) override;
  double table_bytes_of(const std::vector<int> &elements) const override
  {
    return exact_.table_bytes_of(elements) + single_.table_bytes_of(elements);
  }
  const Architecture &shape() const override { return exact_.shape(); }
  const char *instruction_set() const override { return exact_.instruction_set(); }
  std::size_t table_bytes() const override { return exact_.table_bytes() + single_.table_bytes(); }
  std::size_t n_bytes() const override { return exact_.n_bytes() + single_.n_bytes(); }
  int n_threads() const override { return exact_.n_threads(); }
  std::unique_ptr<State> evaluate(const AtomGraph &graph, const GhostExchange &exchange, bool keep, double *energies,
                                  double *descriptors) override;
  int exchange_width(int n_sets) const override { return exact_.exchange_width(n_sets); }
  void pull(const State &state, const GhostExchange &exchange, int n_sets, const double *energy_weights, const double *descriptor_weights,
            double *gradients) override;

 private:
  struct Both;
  MaceEngine<double> exact_;
  MaceEngine<float> single_;
};

}    // namespace lmp_uq
#endif
