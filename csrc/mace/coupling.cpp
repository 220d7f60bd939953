// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/coupling.h"

#include "formulas/harmonics.h"

#include <cmath>

namespace lmp_uq {

namespace {

// nodes and weights of the Gauss-Legendre rule on [-1, 1] by Newton's method
void gauss_legendre(int n, std::vector<double> &nodes, std::vector<double> &weights)
{
  for (int k = 0; k < n; ++k) {
    double x = std::cos(std::acos(-1.0) * (k + 0.75) / (n + 0.5)), slope = 0.0;
    for (int step = 0; step < 50; ++step) {
      double p = 1.0, before = 0.0;
      for (int l = 0; l < n; ++l) {
        const double next = ((2 * l + 1) * x * p - l * before) / (l + 1);
        before = p;
        p = next;
      }
      slope = n * (x * p - before) / (x * x - 1.0);
      x -= p / slope;
    }
    nodes.push_back(x);
    weights.push_back(2.0 / ((1.0 - x * x) * slope * slope));
  }
}

struct Entry {
  int product, message;
  double value;
};

SparseMatrix sorted(const std::vector<Entry> &entries, int n_out, bool by_product)
{
  SparseMatrix out;
  for (int o = 0; o < n_out; ++o) {
    out.start.push_back(static_cast<int>(out.index.size()));
    for (const Entry &entry : entries)
      if ((by_product ? entry.product : entry.message) == o) {
        out.index.push_back(by_product ? entry.message : entry.product);
        out.value.push_back(entry.value);
      }
  }
  out.start.push_back(static_cast<int>(out.index.size()));
  return out;
}

}    // namespace

std::vector<double> coupling_tensor(int l1, int l2, int l3)
{
  constexpr int n_polar = 6, n_azimuth = 12;    // exact for polynomials of degree 9 = 3 MAX_DEGREE
  const int n1 = 2 * l1 + 1, n2 = 2 * l2 + 1, n3 = 2 * l3 + 1;
  std::vector<double> nodes, weights, out(n1 * n2 * n3, 0.0);
  gauss_legendre(n_polar, nodes, weights);
  for (int p = 0; p < n_polar; ++p)
    for (int q = 0; q < n_azimuth; ++q) {
      const double angle = 2.0 * std::acos(-1.0) * q / n_azimuth, s = std::sqrt(1.0 - nodes[p] * nodes[p]);
      const double u[3] = {s * std::sin(angle), nodes[p], s * std::cos(angle)};
      double y[MAX_HARMONICS];
      harmonics(u, MAX_DEGREE, y);
      for (int k = 0; k < n1 * n2 * n3; ++k)
        out[k] += weights[p] * y[l1 * l1 + k / (n2 * n3)] * y[l2 * l2 + k / n3 % n2] * y[l3 * l3 + k % n3];
    }
  double square = 0.0;
  for (double value : out) square += value * value;
  for (double &value : out) value = std::abs(value) < 1e-12 * std::sqrt(square) ? 0.0 : value * std::sqrt(n3 / square);
  return out;
}

Coupling::Coupling(const Paths &paths)
{
  std::vector<Entry> entries;
  for (int p = 0; p < paths.n; ++p) {
    const int l3 = paths.l3[p], n12 = (2 * paths.l1[p] + 1) * (2 * paths.l2[p] + 1), n3 = 2 * l3 + 1;
    const std::vector<double> tensor = coupling_tensor(paths.l1[p], paths.l2[p], l3);
    for (int ab = 0; ab < n12; ++ab)
      for (int m = 0; m < n3; ++m)
        if (tensor[ab * n3 + m] != 0.0)
          entries.push_back({paths.outer[p] + ab, paths.block[l3] + m * paths.n_of[l3] + paths.within[p], tensor[ab * n3 + m]});
  }
  forward = sorted(entries, paths.n_message, false);
  reverse = sorted(entries, paths.n_outer, true);
}

}    // namespace lmp_uq
