// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/cuda/cuda_head.h"

#include <algorithm>
#include <limits>

namespace lmp_uq::cuda {
namespace {

// a matrix with rows of the stride of its columns
void upload(const double *from, int n_rows, int n_columns, const Columns &columns, DeviceArray<double> &to, cudaStream_t stream)
{
  std::vector<double> padded(static_cast<std::size_t>(n_rows) * columns.stride(), 0.0);
  for (int row = 0; row < n_rows; ++row)
    std::copy_n(from + static_cast<std::size_t>(row) * n_columns, n_columns, padded.data() + static_cast<std::size_t>(row) * columns.stride());
  to.upload(padded, stream);
  require(cudaStreamSynchronize(stream));    // the host's array ends here
}

}    // namespace

template <class T>
CudaHead<T>::CudaHead(CudaEngine<T> &engine, const lmp_uq_head_matrices &m)
    : engine_(engine), n_descriptors_(m.n_descriptors), n_modes_(m.n_modes), n_bias_(m.n_bias), z_(m.z), of_box_(m.n_modes + 1),
      of_grade_(m.n_descriptors)
{
  if (n_descriptors_ != engine.shape().n_features())
    throw std::runtime_error("posterior of " + std::to_string(n_descriptors_) + " descriptors; the model has " + std::to_string(engine.shape().n_features()));
  if (m.box) upload(m.box, n_descriptors_, n_modes_ + 1, of_box_, box_, engine_.stream_);
  if (m.box && n_bias_) upload(m.bias, n_bias_, n_modes_ + 1, of_box_, bias_, engine_.stream_);
  for (int k = 0; k < m.n_known; ++k) {
    if (m.known[k] >= static_cast<int>(elements_.size())) elements_.resize(m.known[k] + 1);
    Element &element = elements_[m.known[k]];
    element.radius = m.radius[k];
    const std::size_t at = static_cast<std::size_t>(k) * n_descriptors_;
    element.mean.upload(m.mean + at, n_descriptors_, engine_.stream_);
    upload(m.whitening + at * n_descriptors_, n_descriptors_, n_descriptors_, of_grade_, element.whitening, engine_.stream_);
  }
}

template <class T> std::size_t CudaHead<T>::n_bytes() const
{
  const std::lock_guard<std::mutex> lock(engine_.mutex_);
  std::size_t n = box_.bytes() + bias_.bytes() + in_.bytes() + out_.bytes() + quantiles_.bytes() + more_.bytes();
  for (const Element &element : elements_) n += element.mean.bytes() + element.whitening.bytes();
  return n;
}

template <class T> void CudaHead<T>::energy_bars(const Engine::State &state, double *std, double *lower, double *upper)
{
  const std::lock_guard<std::mutex> lock(engine_.mutex_);
  const Evaluated &at = of(state);
  const std::size_t n = at.graph.n_local();
  if (!box_.size()) throw std::runtime_error("energy bars: the file holds no posterior");
  if (at.energies.size() != n) throw std::runtime_error("energy bars: energies were not evaluated");
  out_.resize(3 * n);
  double *const bars[3] = {out_.data(), out_.data() + n, out_.data() + 2 * n}, *const to[3] = {std, lower, upper};
  cuda::energy_bars<T>({product(at, 0, static_cast<int>(n), nullptr, box_, of_box_), n_modes_, n_bias_, z_, bias_.data(), at.graph.element(),
                        at.graph.node(), at.energies.data(), bars[0], bars[1], bars[2]}, engine_.stream_);
  for (int k = 0; k < 3 && n; ++k) require(cudaMemcpyAsync(to[k], bars[k], n * sizeof(double), cudaMemcpyDeviceToHost, engine_.stream_));
  engine_.stream_.wait();
}

template <class T> void CudaHead<T>::grades(const Engine::State &state, double *grade)
{
  const std::lock_guard<std::mutex> lock(engine_.mutex_);
  const Evaluated &at = of(state);
  const std::vector<int> &element = at.graph.list().element;
  const int n = at.graph.n_local();
  out_.resize(n);
  for (int first = 0, last = 0; first < n; first = last) {    // rows are sorted by element
    last = static_cast<int>(std::upper_bound(element.begin() + first, element.begin() + n, element[first]) - element.begin());
    const int *node = at.graph.node() + first;
    const bool known = element[first] < static_cast<int>(elements_.size()) && elements_[element[first]].radius > 0.0;
    if (!known) {
      set_values({last - first, node, std::numeric_limits<double>::infinity(), out_.data()}, engine_.stream_);
      continue;
    }
    const Element &of = elements_[element[first]];
    cuda::grades<T>({product(at, first, last, of.mean.data(), of.whitening, of_grade_), of.radius, node, out_.data()}, engine_.stream_);
  }
  out_.download(grade, n, engine_.stream_);
  engine_.stream_.wait();
}

template <class T>
void CudaHead<T>::force_values(std::size_t n, const ForceColumns &variables, const ForceFormula &formula, double *values)
{
  const std::lock_guard<std::mutex> lock(engine_.mutex_);
  const double *const from[4] = {variables.force, variables.grade, variables.neighbours, variables.correction};
  in_.resize(4 * n);
  for (int k = 0; k < 4 && n; ++k)
    if (from[k]) require(cudaMemcpyAsync(in_.data() + k * n, from[k], n * sizeof(double), cudaMemcpyHostToDevice, engine_.stream_));
  ForceFormula there = formula;
  if (formula.quantiles) {
    quantiles_.upload(formula.quantiles, N_QUANTILES, engine_.stream_);
    there.quantiles = quantiles_.data();
  }
  const double *const in = in_.data();
  out_.resize(n);
  cuda::force_values({n, {in, in + n, in + 2 * n, variables.correction ? in + 3 * n : nullptr}, there, out_.data()}, engine_.stream_);
  out_.download(values, n, engine_.stream_);
  engine_.stream_.wait();
}

template <class T> void CudaHead<T>::member_std(std::size_t n, int n_members, const double *forces, double *std)
{
  const std::lock_guard<std::mutex> lock(engine_.mutex_);
  in_.upload(forces, 3 * n * n_members, engine_.stream_);
  out_.resize(4 * n);
  cuda::member_std({n, n_members, in_.data(), out_.data()}, engine_.stream_);
  out_.download(std, 4 * n, engine_.stream_);
  engine_.stream_.wait();
}

// Sums of ROWS_OF_SUM rows, then of as many of these sums, until there is one: the order is that of the rows.
template <class T> void CudaHead<T>::feature_sum(const Engine::State &state, double *sum)
{
  const std::lock_guard<std::mutex> lock(engine_.mutex_);
  const Evaluated &at = of(state);
  const std::size_t width = n_descriptors_;
  std::size_t n = at.graph.n_local();
  if (!n) return std::fill(sum, sum + width, 0.0);
  out_.resize(n_sums(n) * width);
  sum_rows<T>({n, width, at.descriptors.data(), out_.data()}, engine_.stream_);
  for (n = n_sums(n); n > 1; n = n_sums(n)) {
    more_.resize(n_sums(n) * width);
    sum_rows<double>({n, width, out_.data(), more_.data()}, engine_.stream_);
    std::swap(out_, more_);
  }
  out_.download(sum, width, engine_.stream_);
  engine_.stream_.wait();
}

template <class T> void CudaHead<T>::neighbour_means(const Engine::State &state, const double *values, double *means)
{
  const std::lock_guard<std::mutex> lock(engine_.mutex_);
  const Evaluated &at = of(state);
  const int n = at.graph.n_local();
  in_.upload(values, at.graph.n_nodes(), engine_.stream_);
  out_.resize(n);
  cuda::neighbour_means({at.graph.edges(), n, at.graph.node(), in_.data(), out_.data()}, engine_.stream_);
  out_.download(means, n, engine_.stream_);
  engine_.stream_.wait();
}

template class CudaHead<float>;
template class CudaHead<double>;

}    // namespace lmp_uq::cuda
