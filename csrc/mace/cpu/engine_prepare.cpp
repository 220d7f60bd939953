// SPDX-License-Identifier: GPL-2.0-or-later
// What elements and their pairs need before atoms of them are evaluated: weights as they are laid out, radial tables.
#include "mace/cpu/mace_engine.h"

#include <algorithm>
#include <exception>
#include <string>

namespace lmp_uq {

namespace {

// what is dealt out to one of several in turn
template <class F> void over_share(std::size_t n_all, int first, int step, const F &f)
{
  for (std::size_t k = first; k < n_all; k += step) f(k);
}

}    // namespace

template <class T> void MaceEngine<T>::prepare(const SortedGraph &graph)
{
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<char> seen(shape().n_elements(), 0);
  std::vector<Task> tasks;
  for (const Batch &batch : graph.batches) {
    for (auto &layer : layers_) layer->prepare(batch.element);
    std::fill(seen.begin(), seen.end(), 0);
    for (int e = graph.start[batch.first]; e < graph.start[batch.last]; ++e) {
      const int z = graph.element[graph.source[e]];
      if (!seen[z]++) add_tasks(batch.element, z, tasks);
    }
  }
  if (tasks.empty()) return;
  stores_.push_back(std::make_shared<PrivateTables>());
  make_tables(tasks, *stores_.back());
}

template <class T> void MaceEngine<T>::prepare(const std::vector<int> &elements, std::shared_ptr<TableStore> store)
{
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<Task> tasks;
  for (int centre : elements) {
    for (auto &layer : layers_) layer->prepare(centre);
    for (int source : elements) add_tasks(centre, source, tasks);
  }
  if (tasks.empty()) return;
  stores_.push_back(std::move(store));
  if (make_tables(tasks, *stores_.back())) return;
  stores_.push_back(std::make_shared<PrivateTables>());
  make_tables(tasks, *stores_.back());
}

// the tables that a pair lacks, unless one of equal functions is among the tasks
template <class T> void MaceEngine<T>::add_tasks(int centre, int source, std::vector<Task> &tasks)
{
  for (auto &layer : layers_) {
    if (!layer->needs_table(centre, source)) continue;
    const auto same = [&](const Task &task) {
      const auto &[first, second] = task.pairs[0];
      return task.layer == layer.get() && layer->radial().key(first, second) == layer->radial().key(centre, source);
    };
    const auto known = std::find_if(tasks.begin(), tasks.end(), same);
    if (known == tasks.end())
      tasks.push_back({layer.get(), {{centre, source}}, nullptr});
    else
      known->pairs.push_back({centre, source});
  }
}

// Each process makes its share, each of its threads a share of that. false: the store has no memory that all processes see.
template <class T> bool MaceEngine<T>::make_tables(std::vector<Task> &tasks, TableStore &store)
{
  const auto over_mine = [&](const auto &work) {
    in_parallel(n_threads_, [&](int thread) {
      over_share(tasks.size(), store.rank() + thread * store.n_ranks(), store.n_ranks() * n_threads_, work);
    });
  };
  std::vector<std::int64_t> sizes(tasks.size(), 0);
  std::string failure;
  try {
    over_mine([&](std::size_t k) {
      Task &task = tasks[k];
      task.knots = std::make_unique<RadialKnots>(task.layer->knots(task.pairs[0].first, task.pairs[0].second));
      sizes[k] = task.layer->table_bytes(*task.knots);
    });
  } catch (const std::exception &error) {
    failure = error.what();
  }
  store.agree(failure);
  store.add_up(sizes);
  std::vector<std::size_t> offset(tasks.size() + 1, 0);
  for (std::size_t k = 0; k < tasks.size(); ++k) offset[k + 1] = offset[k] + (sizes[k] + 63) / 64 * 64;
  unsigned char *memory = store.allocate(offset.back());
  if (!memory) return false;
  over_mine([&](std::size_t k) {
    tasks[k].layer->write(*tasks[k].knots, memory + offset[k]);
    tasks[k].knots.reset();
  });
  store.barrier();
  for (std::size_t k = 0; k < tasks.size(); ++k) tasks[k].layer->adopt(tasks[k].pairs, memory + offset[k], sizes[k]);
  return true;
}

template <class T> double MaceEngine<T>::table_bytes_of(const std::vector<int> &elements) const
{
  double sum = 0.0;
  for (const auto &layer : layers_) sum += layer->table_bytes_of(elements);
  return sum;
}

template class MaceEngine<float>;
template class MaceEngine<double>;

}    // namespace lmp_uq
