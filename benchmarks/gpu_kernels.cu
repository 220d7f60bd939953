// SPDX-License-Identifier: GPL-2.0-or-later
// Times of a device: what its memories and its arithmetic reach, and of each kernel by itself. Compiled by nvcc, and through the emulation for
// a dry run (benchmarks/gpu.sh builds both).
//   gpu_kernels rates [--small]
//   gpu_kernels kernels [--atoms N]... [--neighbours 62] [--channels 128] [--intervals 530] [--repeats 20]
// Medians of the repeats after three others. Lists and numbers are random; the products have as many terms as those of a medium model.
#include "mace/coupling.h"
#include "mace/cuda/first_common.h"
#include "mace/cuda/head_kernels.h"
#include "mace/cuda/kernels.h"
#include "mace/cuda/listed_edges.h"
#include "mace/passes.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

using namespace lmp_uq;
using namespace lmp_uq::cuda;

static int n_repeats = 20;

// median seconds of what `work` puts into the stream
static double seconds(cudaStream_t stream, const std::function<void()> &work)
{
  cudaEvent_t first, last;
  require(cudaEventCreate(&first)), require(cudaEventCreate(&last));
  std::vector<double> times;
  for (int k = n_repeats > 1 ? -3 : 0; k < n_repeats; ++k) {
    float milliseconds = 0.0f;
    require(cudaEventRecord(first, stream));
    work();
    require(cudaEventRecord(last, stream)), require(cudaEventSynchronize(last));
    require(cudaEventElapsedTime(&milliseconds, first, last));
    if (k >= 0) times.push_back(1e-3 * milliseconds);
  }
  require(cudaEventDestroy(first)), require(cudaEventDestroy(last));
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// ---- rates

struct alignas(16) Four { float x, y, z, w; };

// Each pass reads everything once; a block's piece is another one in each, so that its L1 has none of it.
__global__ void __launch_bounds__(256) read_kernel(const Four *in, int piece, int n_passes, float *out)
{
  float sum = 0.0f;
  for (int pass = 0; pass < n_passes; ++pass) {
    const Four *from = in + static_cast<std::size_t>((blockIdx.x + pass * 37u) % gridDim.x) * piece;
#pragma unroll 4
    for (int k = threadIdx.x; k < piece; k += 256) {
      const Four v = from[k];
      sum += (v.x + v.y) + (v.z + v.w);
    }
  }
  out[blockIdx.x * 256 + threadIdx.x] = sum;
}

template <class T> __global__ void __launch_bounds__(256) multiply_kernel(int n, T factor, T *out)
{
  T v[8];
#pragma unroll
  for (int k = 0; k < 8; ++k) v[k] = static_cast<T>(threadIdx.x + k);
  for (int i = 0; i < n; ++i)
#pragma unroll
    for (int k = 0; k < 8; ++k) v[k] = v[k] * factor + T(1);
  T sum = 0;
#pragma unroll
  for (int k = 0; k < 8; ++k) sum += v[k];
  out[blockIdx.x * 256 + threadIdx.x] = sum;
}

static void read_rate(const char *what, std::size_t bytes, int n_passes, int n_blocks)
{
  const int piece = static_cast<int>(bytes / sizeof(Four) / n_blocks);
  DeviceArray<Four> in(static_cast<std::size_t>(piece) * n_blocks);
  DeviceArray<float> out(n_blocks * 256);
  in.zero();
  const double s = seconds(nullptr, [&] { launch(nullptr, read_kernel, n_blocks, 256, 0, in.data(), piece, n_passes, out.data()); });
  std::printf("%s, %zu MB read %d times: %.3g TB/s\n", what, bytes >> 20, n_passes, 1e-12 * n_passes * in.size() * sizeof(Four) / s);
}

template <class T> static void multiply_rate(const char *what, int n, int n_blocks)
{
  DeviceArray<T> out(n_blocks * 256);
  const double s = seconds(nullptr, [&] { launch(nullptr, multiply_kernel<T>, n_blocks, 256, 0, n, T(0.5), out.data()); });
  std::printf("%s: %.3g T FMA/s\n", what, 1e-12 * 8.0 * n * 256 * n_blocks / s);
}

static void rates(bool small)
{
  cudaDeviceProp device;
  require(cudaGetDeviceProperties(&device, 0));
  const int n_blocks = small ? 2 : 132 * 8;
  std::printf("%s\n", device.name);
  for (const std::size_t megabytes : {8, 24, 48}) read_rate("L2", (small ? 1 : megabytes) << 20, small ? 2 : 100, n_blocks);
  read_rate("device memory", (small ? std::size_t{1} : std::size_t{4096}) << 20, small ? 1 : 2, n_blocks);
  multiply_rate<float>("float32", small ? 8 : 1 << 14, n_blocks);
  multiply_rate<double>("float64", small ? 8 : 1 << 13, n_blocks);
}

// ---- kernels

struct Size {
  int n_atoms, n_neighbours, n_channels, n_intervals;
};

template <class T> std::vector<T> random_numbers(std::size_t n, std::mt19937 &generator)
{
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  std::vector<T> out(std::min<std::size_t>(n, 1 << 20));
  for (T &v : out) v = static_cast<T>(uniform(generator));
  while (out.size() < n) out.insert(out.end(), out.begin(), out.begin() + std::min(out.size(), n - out.size()));
  return out;
}

template <class T> struct Sparse {
  explicit Sparse(const SparseMatrix &m) : start(m.start), index(m.index), value(std::vector<T>(m.value.begin(), m.value.end())) {}
  SparseMap<T> view() const { return {start.data(), index.data(), value.data()}; }
  DeviceArray<int> start, index;
  DeviceArray<T> value;
};

// Edges of n_neighbours each, to atoms that are not far in memory, with rows of a table of `n_functions` functions.
template <class T> struct Batch {
  Batch(const Size &size, int n_functions, std::mt19937 &generator) : size(size)
  {
    const int n = size.n_atoms, k = size.n_neighbours, window = std::min(n, 4000);
    const std::size_t row_size = static_cast<std::size_t>(size.n_channels) * n_functions * n_coefficients<T>(), n_edges = static_cast<std::size_t>(n) * k;
    table.upload(random_numbers<T>(row_size * size.n_intervals, generator));
    std::vector<int> starts(n + 1), sources(n_edges), leaving(n_edges), leaving_start(n + 1, 0);
    std::vector<const T *> rows(n_edges);
    std::vector<T> place(n_edges);
    for (int i = 0; i <= n; ++i) starts[i] = i * k;
    for (std::size_t e = 0; e < n_edges; ++e) {
      sources[e] = static_cast<int>((e / k + generator() % window + n - window / 2) % n);
      rows[e] = table.data() + generator() % size.n_intervals * row_size;
      place[e] = static_cast<T>(generator() % 1024 / 1024.0);
      ++leaving_start[sources[e] + 1];
    }
    for (int j = 0; j < n; ++j) leaving_start[j + 1] += leaving_start[j];
    std::vector<int> next(leaving_start.begin(), leaving_start.end() - 1);
    for (std::size_t e = 0; e < n_edges; ++e) leaving[next[sources[e]]++] = static_cast<int>(e);
    std::vector<int> all(n_edges);
    std::iota(all.begin(), all.end(), 0);
    edge_of.upload(all), start.upload(starts), source.upload(sources), row.upload(rows), t.upload(place), by_source.upload(leaving), by_source_start.upload(leaving_start);
    harmonics.upload(random_numbers<T>(n_edges * MAX_HARMONICS, generator));
    norm.upload(std::vector<double>(n, 0.1));
  }
  int n_edges() const { return size.n_atoms * size.n_neighbours; }
  EdgeBatch<T> view() const
  {
    return {start.data(), source.data(), 0, size.n_atoms, 0, n_edges(), size.n_channels / LANES, harmonics.data(), row.data(), t.data()};
  }
  Size size;
  DeviceArray<int> start, source, by_source, by_source_start, edge_of;    // edge_of: no listed edge is too long
  DeviceArray<T> table, harmonics, t;
  DeviceArray<const T *> row;
  DeviceArray<double> norm;
};

template <class T> const char *name_of() { return sizeof(T) == 8 ? "float64" : "float32"; }

// bytes: of tables, read from L2; fma: multiplications that are also additions; both on paper, all atoms
template <class T> void print(const char *kernel, const Size &size, double s, double bytes, double fma)
{
  std::printf("%s,%s,%d,%.2f,%.2f,%.3g,%.3g\n", kernel, name_of<T>(), size.n_atoms, 1e6 * s, 1e9 * s / size.n_atoms, 1e-12 * bytes / s, 1e-12 * fma / s);
  std::fflush(stdout);
}

constexpr int L_MAX = 3, N_Y = 16, L_IN = 1, N_X = 4;

template <class T> void first_layer(const Size &size, std::mt19937 &generator)
{
  const Batch<T> batch(size, L_MAX + 1, generator);
  const std::size_t n = static_cast<std::size_t>(size.n_atoms) * N_Y * size.n_channels;
  DeviceArray<T> out(n), gradient(random_numbers<T>(n, generator)), sums(static_cast<std::size_t>(batch.n_edges()) * size.n_channels / 2);
  const double edges = static_cast<double>(batch.n_edges()) * size.n_channels, bytes = edges * (L_MAX + 1) * n_coefficients<T>() * sizeof(T);
  const double value = (L_MAX + 1) * (n_coefficients<T>() - 1), slope = (L_MAX + 1) * (n_coefficients<T>() - 2);
  print<T>("first_forward", size, seconds(nullptr, [&] { first_forward<T>({batch.view(), nullptr, batch.norm.data(), out.data()}, L_MAX, nullptr); }), bytes,
           edges * (value + N_Y));
  print<T>("first_reverse", size, seconds(nullptr, [&] { first_reverse<T>({batch.view(), nullptr, 1, gradient.data(), sums.data()}, L_MAX, nullptr); }), bytes,
           edges * (value + slope + 2 * N_Y));
}

// the same by common functions, of one element
template <class T> void common_functions(const Size &size, std::mt19937 &generator)
{
  constexpr int q = sizeof(T) == 8 ? 36 : 24;
  const int n = size.n_atoms, wide = padded(q), c = size.n_channels;
  const Batch<T> batch({n, size.n_neighbours, wide, size.n_intervals}, 1, generator);
  const std::size_t n_sums = static_cast<std::size_t>(n) * N_Y * wide, n_out = static_cast<std::size_t>(n) * N_Y * c;
  DeviceArray<T> matrix(random_numbers<T>(static_cast<std::size_t>(L_MAX + 1) * wide * c, generator)), sums(random_numbers<T>(n_sums, generator)),
      out(random_numbers<T>(n_out, generator)), edge_sums(static_cast<std::size_t>(batch.n_edges()) * MAX_HARMONICS);
  const DeviceArray<int> element(std::vector<int>(n, 0));
  const DeviceArray<CommonPair<T>> pairs(std::vector<CommonPair<T>>{{q, batch.table.data(), matrix.data(), matrix.data()}});
  const CommonEdges<T> edges{batch.view(), element.data(), nullptr, 1, pairs.data(), {1, {0}}};
  CommonMix<T> mix{false, n, n, c, wide, 1, element.data(), batch.norm.data(), pairs.data(), {1, {0}}, sums.data(), out.data()};
  const double n_edges = batch.n_edges(), bytes = n_edges * wide * n_coefficients<T>() * sizeof(T), fma = n * 16.0 * q * c;
  const double value = n_coefficients<T>() - 1, slope = n_coefficients<T>() - 2;
  const auto forward = [&] { common_forward<T>({edges, sums.data()}, L_MAX, nullptr); };
  const auto reverse = [&] { common_reverse<T>({edges, 1, sums.data(), edge_sums.data(), 1}, L_MAX, nullptr); };
  const auto mixed = [&] { common_mix<T>(mix, L_MAX, nullptr); };
  print<T>("common_forward", size, seconds(nullptr, forward), bytes, n_edges * wide * (value + N_Y));
  print<T>("common_mix", size, seconds(nullptr, mixed), 0.0, fma);
  mix.back = true, mix.norm = nullptr, mix.in = out.data(), mix.out = sums.data();
  print<T>("common_mix back", size, seconds(nullptr, mixed), 0.0, fma);
  print<T>("common_reverse", size, seconds(nullptr, reverse), bytes, n_edges * (wide * (value + slope) + 2 * N_Y * q));
}

template <class T> void messages(const Size &size, std::mt19937 &generator)
{
  const Paths paths = make_paths(L_IN, L_MAX);
  const Batch<T> batch(size, paths.n, generator);
  const Coupling coupling(paths);
  const Sparse<T> couple(coupling.forward), uncouple(coupling.reverse);
  const std::size_t n = size.n_atoms, c = size.n_channels;
  DeviceArray<T> features(random_numbers<T>(n * N_X * c, generator)), out(n * paths.n_message * c), of_sources(n * N_X * c);
  std::vector<T> gradients(random_numbers<T>(n * paths.n_message * c, generator));
  for (int k = 1; k < MAX_SETS; k *= 2) gradients.reserve(2 * gradients.size()), gradients.insert(gradients.end(), gradients.begin(), gradients.end());
  const std::size_t n_edges = batch.n_edges();
  DeviceArray<T> gradient(gradients), edge_features(MAX_SETS * n_edges * N_X * c), sums(MAX_SETS * n_edges * c / 2);
  const double edges = static_cast<double>(batch.n_edges()) * c, bytes = edges * paths.n * n_coefficients<T>() * sizeof(T);
  const double value = paths.n * (n_coefficients<T>() - 1), slope = paths.n * (n_coefficients<T>() - 2);
  const auto forward = [&] { message_forward<T>({batch.view(), features.data(), batch.norm.data(), couple.view(), out.data()}, L_IN, L_MAX, nullptr); };
  const auto reverse = [&](int n_sets) {
    message_reverse<T>({batch.view(), n_sets, features.data(), uncouple.view(), gradient.data(), edge_features.data(), sums.data()}, L_IN, L_MAX, nullptr);
  };
  print<T>("message_forward", size, seconds(nullptr, forward), bytes, edges * (value + paths.n_outer));
  print<T>("message_reverse", size, seconds(nullptr, [&] { reverse(1); }), bytes, edges * (value + slope + 2 * paths.n_outer));
  const std::vector<T> before = sums.to_host();
  print<T>("message_reverse of 4 sets", size, seconds(nullptr, [&] { reverse(MAX_SETS); }), bytes, edges * (value + slope + MAX_SETS * 2 * paths.n_outer));
  const std::vector<T> after = sums.to_host();
  for (int k = 0; k < MAX_SETS; ++k)    // which are alike
    if (std::memcmp(before.data(), after.data() + k * after.size() / MAX_SETS, after.size() / MAX_SETS * sizeof(T)))
      std::printf("FAILED message_reverse: other bits in set %d of a stack\n", k);
  const auto gather = [&] {
    gather_sources<T>({size.n_atoms, 1, size.n_channels / LANES, 0, batch.n_edges(), batch.by_source_start.data(), batch.by_source.data(),
                       batch.edge_of.data(), 0, batch.n_edges(), edge_features.data(), false, of_sources.data()}, L_IN, nullptr);
  };
  print<T>("gather_sources, bytes of device memory", size, seconds(nullptr, gather), edges * N_X * sizeof(T), 0.0);
}

// messages of all degrees to as many features
template <class T> void matrices(const Size &size, std::mt19937 &generator)
{
  const Paths paths = make_paths(L_IN, L_MAX);
  const std::size_t n = size.n_atoms, c = size.n_channels;
  DeviceArray<T> in(random_numbers<T>(n * paths.n_message * c, generator)), out(n * N_Y * c), matrix(random_numbers<T>(paths.n * c * c, generator));
  double fma = 0.0;
  for (int l = 0; l <= L_MAX; ++l) fma += static_cast<double>(n) * (2 * l + 1) * paths.n_of[l] * c * c;
  const auto all = [&](bool tf32) {
    for (int l = 0; l <= L_MAX; ++l)
      gemm<T>({static_cast<int>(n) * (2 * l + 1), static_cast<int>(paths.n_of[l] * c), static_cast<int>(c), in.data() + paths.block[l] * c,
               {2 * l + 1, paths.n_message * c, paths.n_of[l] * c}, matrix.data(), out.data() + l * l * c, {2 * l + 1, N_Y * c, c}, false, tf32}, nullptr);
  };
  print<T>("gemm of messages", size, seconds(nullptr, [&] { all(false); }), 0.0, fma);
  if (sizeof(T) == 4) print<T>("gemm of messages on tensor cores", size, seconds(nullptr, [&] { all(true); }), 0.0, fma);
}

template <class T> void products(const Size &size, std::mt19937 &generator)
{
  constexpr int N_OUT = 4, N_PAIRS = 30, N_THIRDS = 2;    // of each output, and of each pair
  std::vector<int> linear_start{0}, linear, pair_start{0}, pair, third_start{0}, third;
  for (int o = 0; o < N_OUT; ++o) {
    linear.push_back(o), linear_start.push_back(o + 1), pair_start.push_back((o + 1) * N_PAIRS);
    for (int q = 0; q < N_PAIRS; ++q) {
      pair.insert(pair.end(), {static_cast<int>(generator() % N_Y), static_cast<int>(generator() % N_Y)});
      for (int k = 0; k < N_THIRDS; ++k) third.push_back(generator() % N_Y);
      third_start.push_back(static_cast<int>(third.size()));
    }
  }
  const int n_coefficients = N_OUT * (1 + N_PAIRS * (1 + N_THIRDS)), n = size.n_atoms, n_blocks = size.n_channels / LANES;
  const std::size_t c = size.n_channels;
  const DeviceArray<int> d1(linear_start), d2(linear), d3(pair_start), d4(pair), d5(third_start), d6(third), element(std::vector<int>(n, 0));
  const Polynomial polynomial{N_Y, N_OUT, n_coefficients, d1.data(), d2.data(), d3.data(), d4.data(), d5.data(), d6.data()};
  const DeviceArray<T> numbers(random_numbers<T>(n_coefficients * c, generator)), in(random_numbers<T>(n * N_Y * c, generator));
  const DeviceArray<const T *> of_element(std::vector<const T *>{numbers.data()});
  const DeviceArray<double> norm(std::vector<double>(n, 0.1));
  DeviceArray<T> out(n * N_OUT * c), gradient(n * N_Y * c);
  DeviceArray<double> overlap(n * n_blocks);
  const double bytes = static_cast<double>(n) * n_coefficients * c * sizeof(T), fma = static_cast<double>(n) * (n_coefficients + N_OUT * N_PAIRS) * c;
  const auto forward = [&] { product_forward<T>({polynomial, n, n_blocks, element.data(), of_element.data(), in.data(), out.data()}, nullptr); };
  print<T>("product_forward", size, seconds(nullptr, forward), bytes, fma);
  const auto reverse = [&] {
    product_reverse<T>({polynomial, n, n_blocks, 1, element.data(), of_element.data(), in.data(), out.data(), gradient.data(), norm.data(), overlap.data()},
                       nullptr);
  };
  print<T>("product_reverse", size, seconds(nullptr, reverse), bytes, 2 * fma);
}

// A list of twice as many edges as there are neighbours, of which about half are within the cutoff; bytes of device memory.
static void lists(const Size &size, std::mt19937 &generator)
{
  const Batch<double> batch({size.n_atoms, 2 * size.n_neighbours, LANES, 1}, 1, generator);
  const int n = size.n_atoms, n_listed = batch.n_edges();
  const DeviceArray<double> positions(random_numbers<double>(3 * static_cast<std::size_t>(n), generator));
  const DeviceArray<double> gradients(random_numbers<double>(3 * static_cast<std::size_t>(n_listed), generator));
  DeviceArray<double> vectors(gradients.size()), forces(positions.size()), virials(2 * positions.size());
  DeviceArray<int> start(n + 1), bad(1), edge_of(n_listed), centre(n_listed), source(n_listed);
  const int *number = batch.edge_of.data();    // of itself
  bad.zero();
  const FindEdges find{{batch.start.data(), number, batch.source.data(), number, number, positions.data()}, n, 1.3, start.data(), bad.data(),
                       edge_of.data(), centre.data(), source.data(), vectors.data()};
  const double listed = static_cast<double>(n_listed) * sizeof(int), edges = n_listed / 2.0 * 3 * sizeof(double);
  print<double>("count_edges", size, seconds(nullptr, [&] { count_edges(find, nullptr); }), listed, 0.0);
  add_up(n, start.data(), nullptr);
  print<double>("fill_edges", size, seconds(nullptr, [&] { fill_edges(find, nullptr); }), 3 * listed + edges, 0.0);
  const NodeForces sums{n, n, 1, n_listed, start.data(), batch.by_source_start.data(), batch.by_source.data(), edge_of.data(), number,
                        vectors.data(), gradients.data(), forces.data(), virials.data()};
  print<double>("node_forces", size, seconds(nullptr, [&] { node_forces(sums, nullptr); }), 2 * listed + 3 * edges, 0.0);
}

// of two layers' scalars and as many modes
template <class T> void head(const Size &size, std::mt19937 &generator)
{
  const std::size_t n = size.n_atoms, depth = 2 * static_cast<std::size_t>(size.n_channels);
  const Columns modes(static_cast<int>(depth) + 1), whitening(static_cast<int>(depth));
  std::vector<int> nodes(n);
  for (std::size_t k = 0; k < n; ++k) nodes[k] = static_cast<int>(k);
  const DeviceArray<int> node(nodes);
  const DeviceArray<T> rows(random_numbers<T>(n * depth, generator));
  const DeviceArray<double> matrix(random_numbers<double>(depth * modes.stride(), generator)), energy(std::vector<double>(n, -5.0));
  DeviceArray<double> out(3 * n);
  const auto product = [&](const Columns &columns) {
    return RowProduct<T>{size.n_atoms, static_cast<int>(depth), rows.data(), nullptr, matrix.data(), columns};
  };
  const auto bars = [&] {
    energy_bars<T>({product(modes), static_cast<int>(depth), 0, 2.0, nullptr, node.data(), node.data(), energy.data(), out.data(), out.data() + n,
                    out.data() + 2 * n}, nullptr);
  };
  const auto print_one = [&](const char *name, const Columns &columns, double time) {
    const double fma = static_cast<double>(n) * depth * columns.stride();
    print<T>(name, size, time, fma * sizeof(double) / ATOMS, fma);
  };
  print_one("energy_bars", modes, seconds(nullptr, bars));
  print_one("grades", whitening, seconds(nullptr, [&] { grades<T>({product(whitening), 2.0, node.data(), out.data()}, nullptr); }));
}

template <class T> void all_kernels(const Size &size)
{
  std::mt19937 generator(1);
  first_layer<T>(size, generator), common_functions<T>(size, generator), messages<T>(size, generator), matrices<T>(size, generator);
  products<T>(size, generator), head<T>(size, generator);
}

int main(int n_words, char **words)
{
  const auto word = [&](int k) { return std::string(k < n_words ? words[k] : ""); };
  std::vector<int> atoms;
  Size size{0, 62, 128, 530};
  bool small = false;
  std::mt19937 generator(1);
  for (int k = 2; k < n_words; ++k) {
    if (word(k) == "--small") small = true, n_repeats = 1;
    else if (word(k) == "--atoms") atoms.push_back(std::atoi(word(++k).c_str()));
    else if (word(k) == "--neighbours") size.n_neighbours = std::atoi(word(++k).c_str());
    else if (word(k) == "--channels") size.n_channels = padded(std::atoi(word(++k).c_str()));
    else if (word(k) == "--intervals") size.n_intervals = std::atoi(word(++k).c_str());
    else if (word(k) == "--repeats") n_repeats = std::atoi(word(++k).c_str());
  }
  try {
    if (word(1) == "rates") return rates(small), 0;
    std::printf("kernel,precision,atoms,us,ns per atom,TB/s on paper,T FMA/s on paper\n");
    for (const int n : atoms.empty() ? std::vector<int>{64, 1000, 30000} : atoms) {
      size.n_atoms = n;
      all_kernels<float>(size), all_kernels<double>(size), lists(size, generator);
    }
  } catch (const std::exception &error) {
    std::printf("FAILED %s\n", error.what());
    return 1;
  }
  return 0;
}
