// SPDX-License-Identifier: GPL-2.0-or-later
// Matrix products on a device against plain loops in float64: by ordinary arithmetic, and on tensor cores in three products of TF32. Compiled
// by g++ through the emulation, and by nvcc. Rows lie apart; what lies between them has to stay as it was.
#include "mace/cuda/kernels.h"
#include "mace/cuda/tensor_cores.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

using namespace lmp_uq;
using namespace lmp_uq::cuda;

static int n_failed = 0;
static void check(bool right, const char *what, int a, int b, int c)
{
  if (!right) std::printf("FAILED %s: %d, %d, %d\n", what, a, b, c);
  n_failed += !right;
}

// ---- what tensor cores do

__global__ void one_product(const float *a, const float *b, float *c)    // all row-major; b (8, 8)
{
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  unsigned of_a[4], of_b[2];
  float of_c[4];
  for (int q = 0; q < 4; ++q) of_a[q] = to_tf32(a[(g + q % 2 * 8) * 8 + t + q / 2 * 4]), of_c[q] = c[(g + q / 2 * 8) * 8 + 2 * t + q % 2];
  for (int q = 0; q < 2; ++q) of_b[q] = to_tf32(b[(t + q * 4) * 8 + g]);
  multiply_add(of_c, of_a, of_b);
  for (int q = 0; q < 4; ++q) c[(g + q / 2 * 8) * 8 + 2 * t + q % 2] = of_c[q];
}

__global__ void round_all(int n, const float *in, float *out)
{
  if (static_cast<int>(threadIdx.x) < n) out[threadIdx.x] = __uint_as_float(to_tf32(in[threadIdx.x]));
}

static void check_tensor_cores(std::mt19937 &generator)
{
  std::vector<float> a(128), b(64), c(128);
  for (auto *v : {&a, &b, &c})
    for (float &x : *v) x = static_cast<float>(generator() % 200) - 100.0f;    // sums are exact
  const DeviceArray<float> on_a(a), on_b(b);
  DeviceArray<float> on_c(c);
  launch(nullptr, one_product, 1, WARP, 0, on_a.data(), on_b.data(), on_c.data());
  const std::vector<float> found = on_c.to_host();
  for (int r = 0; r < 16; ++r)
    for (int col = 0; col < 8; ++col) {
      float sum = c[r * 8 + col];
      for (int k = 0; k < 8; ++k) sum += a[r * 8 + k] * b[k * 8 + col];
      check(found[r * 8 + col] == sum, "number of a product: row, column", r, col, 0);
    }
  const float step = std::ldexp(1.0f, -10);
  const std::vector<float> given{1 + 0.25f * step, 1 + 0.5f * step, -1 - 0.5f * step, 1 + 1.5f * step, 2 - 0.25f * step, 0.0f};
  const std::vector<float> rounded{1, 1 + step, -1 - step, 1 + 2 * step, 2, 0.0f};
  const int n = static_cast<int>(given.size());
  DeviceArray<float> in(given), out(n);
  launch(nullptr, round_all, 1, WARP, 0, n, in.data(), out.data());
  check(out.to_host() == rounded, "rounding to TF32", n, 0, 0);
}

// ---- matrices

static float nearest_tf32(float v)
{
  int exponent;
  const double mantissa = std::frexp(static_cast<double>(v), &exponent);
  return static_cast<float>(std::ldexp(std::round(mantissa * 2048), exponent - 11));
}

struct Case {
  int n_rows, depth, n_columns, inner;
  bool add;
};

constexpr int APART = 8;    // numbers between rows
constexpr double BETWEEN = 77.0;

static Rows rows_of(const Case &c, int size)
{
  const std::size_t row = size + APART;
  return {c.inner, c.inner * row + APART, row};
}
static std::size_t place(const Rows &rows, int r) { return r / rows.inner * rows.outer_stride + r % rows.inner * rows.inner_stride; }

template <class T> struct Matrices {
  Matrices(const Case &size, std::mt19937 &generator) : size(size), a_rows(rows_of(size, size.depth)), c_rows(rows_of(size, size.n_columns))
  {
    std::normal_distribution<double> normal;
    a.assign(place(a_rows, size.n_rows) + size.depth, T(BETWEEN)), c.assign(place(c_rows, size.n_rows) + size.n_columns, T(BETWEEN));
    for (int r = 0; r < size.n_rows; ++r) {
      for (int k = 0; k < size.depth; ++k) a[place(a_rows, r) + k] = static_cast<T>(normal(generator));
      for (int k = 0; k < size.n_columns; ++k) c[place(c_rows, r) + k] = static_cast<T>(normal(generator));
    }
    for (int k = 0; k < size.depth * size.n_columns; ++k) b.push_back(static_cast<T>(normal(generator)));
  }

  // root mean square error of what `number` makes of each row and column
  template <class F> double error(const F &number) const
  {
    double sum = 0.0;
    for (int r = 0; r < size.n_rows; ++r)
      for (int col = 0; col < size.n_columns; ++col) {
        double exact = size.add ? c[place(c_rows, r) + col] : 0.0;
        for (int k = 0; k < size.depth; ++k) exact += static_cast<double>(a[place(a_rows, r) + k]) * b[static_cast<std::size_t>(k) * size.n_columns + col];
        sum += std::pow(number(r, col) - exact, 2);
      }
    return std::sqrt(sum / size.n_rows / size.n_columns);
  }

  double on_device(bool tf32) const
  {
    const DeviceArray<T> on_a(a), on_b(b);
    DeviceArray<T> on_c(c);
    gemm<T>({size.n_rows, size.depth, size.n_columns, on_a.data(), a_rows, on_b.data(), on_c.data(), c_rows, size.add, tf32}, nullptr);
    std::vector<T> found = on_c.to_host();
    const double out = error([&](int r, int col) { return found[place(c_rows, r) + col]; });
    for (int r = 0; r < size.n_rows; ++r) std::copy_n(&c[place(c_rows, r)], size.n_columns, &found[place(c_rows, r)]);
    check(found == c, "nothing else is written", size.n_rows, size.depth, size.n_columns);
    return out;
  }

  double in_single_tf32() const
  {
    return error([&](int r, int col) {
      double sum = size.add ? c[place(c_rows, r) + col] : 0.0;
      for (int k = 0; k < size.depth; ++k)
        sum += static_cast<double>(nearest_tf32(a[place(a_rows, r) + k])) * nearest_tf32(b[static_cast<std::size_t>(k) * size.n_columns + col]);
      return sum;
    });
  }

  Case size;
  Rows a_rows, c_rows;
  std::vector<T> a, b, c;
};

int main()
{
  std::mt19937 generator(1);
  check_tensor_cores(generator);
  std::printf("rows, depth, columns: root mean square error by ordinary arithmetic, in three products of TF32, in one\n");
  for (const Case &c : {Case{1, 4, 32, 1, false}, {17, 640, 32, 3, false}, {70, 12, 96, 5, true}, {64, 64, 64, 7, true}, {130, 36, 160, 1, false},
                        {5, 20, 640, 2, true}}) {
    const Matrices<float> m(c, generator);
    const double plain = m.on_device(false), three = m.on_device(true), one = m.in_single_tf32();
    std::printf("%d, %d, %d: %.2g, %.2g, %.2g\n", c.n_rows, c.depth, c.n_columns, plain, three, one);
    check(plain < 1e-7 * c.depth, "float32 by ordinary arithmetic", c.n_rows, c.depth, c.n_columns);
    check(three < 3.0 * plain, "three products of TF32 beside ordinary arithmetic", c.n_rows, c.depth, c.n_columns);
    check(100.0 * three < one, "three products of TF32 beside one", c.n_rows, c.depth, c.n_columns);
    check(Matrices<double>(c, generator).on_device(false) < 1e-15 * c.depth, "float64", c.n_rows, c.depth, c.n_columns);
  }
  std::printf(n_failed ? "%d failed\n" : "ok\n", n_failed);
  return n_failed ? 1 : 0;
}
