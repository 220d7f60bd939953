// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cpu/mixed_engine.h"
#include "mace/device_engine.h"
#include "mace/device_library.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace lmp_uq {

std::unique_ptr<Engine> Engine::make(const Json &architecture, Tensors tensors, const Options &options)
{
  const double exact = options.table_tolerance < 0.0 ? 1e-9 : options.table_tolerance;
  const double single = options.table_tolerance < 0.0 ? 1e-6 : options.table_tolerance;
  const Architecture shape = Architecture::read(architecture);
  const int threads = options.threads > 0 ? options.threads : available_threads();
  if (threads > MAX_THREADS)
    throw std::runtime_error("threads is " + std::to_string(threads) + "; accepted: 1 to " + std::to_string(MAX_THREADS));
#ifndef _OPENMP
  if (threads > 1) throw std::runtime_error("threads is " + std::to_string(threads) + "; this build has no OpenMP, accepted: 1");
#endif
  if (options.device >= 0)
    return std::make_unique<DeviceEngine>(architecture, tensors, *cuda_library().engine,
                                          lmp_uq_engine_options{options.device, options.single_precision, threads, options.n_sharing,
                                                                options.single_precision ? single : exact});
  if (options.single_precision) return std::make_unique<MaceEngine<float>>(shape, std::move(tensors), single, threads);
  if (options.single_precision_bars) return std::make_unique<MixedEngine>(shape, tensors, exact, single, threads);
  return std::make_unique<MaceEngine<double>>(shape, std::move(tensors), exact, threads);
}

template <class T>
MaceEngine<T>::MaceEngine(Architecture architecture, Tensors tensors, double table_tolerance, int n_threads)
    : weights_(std::move(architecture), std::move(tensors)), wide_(padded<T>(weights_.shape().n_channels)), n_threads_(n_threads),
      scale_(weights_.scale()), shift_(weights_.shift())
{
  const int n_elements = shape().n_elements();
  for (int z = 0; z < n_elements; ++z) atomic_energies_.push_back(weights_.atomic_energy(z));
  for (int k = 0; k < n_elements * n_elements && shape().repulsion; ++k)
    repulsion_.push_back(weights_.repulsion(k / n_elements, k % n_elements));
  for (int t = 0; t < static_cast<int>(shape().layers.size()); ++t)
    layers_.push_back(std::make_unique<Layer<T>>(weights_, t, table_tolerance));
}

template <class T> std::size_t MaceEngine<T>::table_bytes() const
{
  const std::lock_guard<std::mutex> lock(mutex_);
  std::size_t n = 0;
  for (const auto &layer : layers_) n += layer->table_bytes();
  return n;
}

template <class T> std::size_t MaceEngine<T>::n_bytes() const
{
  const std::lock_guard<std::mutex> lock(mutex_), spare_lock(spare_->mutex);
  std::size_t n = bytes_of_layers(spare_->layers);
  for (const auto &layer : layers_) n += layer->table_bytes() + layer->n_bytes();
  for (const auto &w : idle_) {
    n += bytes_of(w->before, w->after, w->sent, w->own);
    for (const Scratch &scratch : w->threads) n += scratch.n_bytes();
  }
  return n;
}

template <class T>
MaceEngine<T>::Evaluated::Evaluated(std::shared_ptr<const SortedGraph> g, std::shared_ptr<Spare> s)
    : shared(std::move(g)), graph(*shared), spare(std::move(s))
{
  const std::lock_guard<std::mutex> lock(spare->mutex);
  layers.swap(spare->layers);
}

template <class T> MaceEngine<T>::Evaluated::~Evaluated()
{
  const std::lock_guard<std::mutex> lock(spare->mutex);
  layers.swap(spare->layers);
}

template <class T> std::unique_ptr<typename MaceEngine<T>::Workspace> MaceEngine<T>::borrow()
{
  const std::lock_guard<std::mutex> lock(mutex_);
  if (idle_.empty()) return std::make_unique<Workspace>(n_threads_);
  std::unique_ptr<Workspace> out = std::move(idle_.back());
  idle_.pop_back();
  return out;
}

template <class T> void MaceEngine<T>::give_back(std::unique_ptr<Workspace> w)
{
  const std::lock_guard<std::mutex> lock(mutex_);
  idle_.push_back(std::move(w));
}

template class MaceEngine<float>;
template class MaceEngine<double>;

}    // namespace lmp_uq
