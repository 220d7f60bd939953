// SPDX-License-Identifier: GPL-2.0-or-later
// Identities of the native engine without Python: forces against differences of energies, any number of threads, ghosts or none, stacked
// weights, both precisions, refusals. Built and run by tests/cpp/run.sh under sanitizers and under valgrind.
//
//   check_engine [planted] FILE...        planted: one gradient is changed, so every file has to fail
#include "mace/cpu/edge_sums.h"
#include "mace/engine.h"
#include "file/model_file.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using Vector = std::vector<double>;
bool planted = false;

void require(bool holds, const std::string &what)
{
  if (!holds) throw std::logic_error(what);
}

double largest_difference(const Vector &a, const Vector &b)
{
  require(a.size() == b.size(), "arrays of one size");
  double out = 0.0, scale = 1e-300;
  for (std::size_t k = 0; k < a.size(); ++k) {
    out = std::max(out, std::abs(a[k] - b[k]));
    scale = std::max(scale, std::abs(b[k]));
  }
  return out / scale;
}

// A small crystal, cubic and periodic. Neighbours in other cells are the atoms themselves, or ghosts that copy them.
struct Crystal {
  int n;
  double side;
  Vector x;
  std::vector<std::int64_t> species, centres, neighbours;
  Vector vectors;
  std::vector<int> owner;    // of each ghost
  bool ghosts;

  Crystal(int n_atoms, double length, int n_elements, bool with_ghosts) : n(n_atoms), side(length), x(3 * n_atoms), ghosts(with_ghosts)
  {
    std::mt19937 random(1);
    std::uniform_real_distribution<double> shake(-0.3, 0.3);
    for (int i = 0; i < n; ++i) {
      species.push_back(static_cast<int>(random() % n_elements));
      for (int k = 0; k < 3; ++k) x[3 * i + k] = (i >> k & 1 ? 0.5 : 0.0) * side + shake(random);
    }
  }

  void find_neighbours(double cutoff)
  {
    centres.clear(), neighbours.clear(), vectors.clear(), owner.clear();
    species.resize(n);
    const int images = static_cast<int>(cutoff / side) + 2;
    for (int cell = 0, width = 2 * images + 1; cell < width * width * width; ++cell) {
      const int shift[3] = {cell % width - images, cell / width % width - images, cell / width / width - images};
      for (int j = 0; j < n; ++j) add_image(j, shift, cutoff);
    }
  }

  void add_image(int j, const int (&shift)[3], double cutoff)
  {
    const bool home = !shift[0] && !shift[1] && !shift[2];
    int node = j;
    for (int i = 0; i < n; ++i) {
      double v[3], square = 0.0;
      for (int k = 0; k < 3; ++k) {
        v[k] = x[3 * j + k] + shift[k] * side - x[3 * i + k];
        square += v[k] * v[k];
      }
      if (square >= cutoff * cutoff || (home && i == j)) continue;
      if (ghosts && !home && node == j) {
        node = n + static_cast<int>(owner.size());
        owner.push_back(j);
        species.push_back(species[j]);
      }
      centres.push_back(i);
      neighbours.push_back(node);
      vectors.insert(vectors.end(), v, v + 3);
    }
  }

  int n_nodes() const { return n + static_cast<int>(owner.size()); }
  lmp_uq::AtomGraph graph() const
  {
    return {n, n_nodes(), species.data(), static_cast<std::int64_t>(centres.size()), centres.data(), neighbours.data(), vectors.data()};
  }
  lmp_uq::GhostExchange exchange()
  {
    if (!ghosts) return {};
    return {this, [](void *c, const lmp_uq::GhostRows *rows) { return static_cast<Crystal *>(c)->copy(*rows); },
            [](void *c, const lmp_uq::GhostRows *rows) { return static_cast<Crystal *>(c)->add(*rows); }, nullptr};
  }
  int copy(const lmp_uq::GhostRows &rows) const
  {
    const int n_ghosts = static_cast<int>(owner.size());
    Vector message(owner.size() * rows.width + 1);
    rows.pack(rows.holder, n_ghosts, owner.data(), message.data());
    rows.unpack(rows.holder, n, n_ghosts, message.data());
    return 0;
  }
  int add(const lmp_uq::GhostRows &rows) const
  {
    std::vector<int> ghosts_of_all;
    for (int k = n; k < n_nodes(); ++k) ghosts_of_all.push_back(k);
    Vector message(owner.size() * rows.width + 1);
    rows.pack(rows.holder, n_nodes() - n, ghosts_of_all.data(), message.data());
    rows.add(rows.holder, n_nodes() - n, owner.data(), message.data());
    return 0;
  }

  // dE/dx (3 n) from gradients with respect to the edge vectors
  Vector forces(const double *gradients) const
  {
    Vector out(3 * n, 0.0);
    for (std::size_t e = 0; e < centres.size(); ++e)
      for (int k = 0; k < 3; ++k) {
        const int j = neighbours[e] < n ? static_cast<int>(neighbours[e]) : owner[neighbours[e] - n];
        out[3 * j + k] += gradients[3 * e + k];
        out[3 * centres[e] + k] -= gradients[3 * e + k];
      }
    return out;
  }
};

struct Result {
  double energy;
  Vector descriptors, gradient, stacked;    // gradient: dE/dx; stacked: the same of three weightings of descriptors
};

Vector weights(std::size_t n)
{
  Vector out(n);
  for (std::size_t k = 0; k < n; ++k) out[k] = std::sin(1.0 + static_cast<double>(k));
  return out;
}

// rounding: that of the engine's precision
Result evaluate(lmp_uq::Engine &engine, Crystal &crystal, double rounding = 1e-12)
{
  constexpr int n_sets = 5;    // more than one pass takes
  crystal.find_neighbours(engine.shape().cutoff);
  const std::size_t n_edges = crystal.centres.size(), width = engine.shape().n_features();
  Vector energies(crystal.n), gradients(3 * n_edges), many(3 * n_edges * n_sets), one(3 * n_edges), energy_sets(n_sets * crystal.n, 1.0);
  Result out{0.0, Vector(crystal.n * width), {}, {}};
  const auto state = engine.evaluate(crystal.graph(), crystal.exchange(), true, energies.data(), out.descriptors.data());
  Vector again(crystal.n), descriptors(out.descriptors.size());
  require(!engine.evaluate(crystal.graph(), crystal.exchange(), false, again.data(), descriptors.data()), "no state unless it is kept");
  require(again == energies && descriptors == out.descriptors, "the same without a state");
  for (double energy : energies) out.energy += energy;
  const Vector ones(crystal.n, 1.0), w = weights(n_sets * crystal.n * width);
  engine.pull(*state, crystal.exchange(), 1, ones.data(), nullptr, gradients.data());
  out.gradient = crystal.forces(gradients.data());
  for (int set = 0; set < n_sets; ++set)    // half of the atoms in each, which is other atoms in the next
    for (int i = 0; i < crystal.n; ++i) energy_sets[set * crystal.n + i] = (i + set) % 2;
  engine.pull(*state, crystal.exchange(), n_sets, energy_sets.data(), nullptr, many.data());
  for (int set = 0; set + 1 < n_sets; ++set) {
    for (std::size_t k = 0; k < one.size(); ++k) one[k] = many[set * one.size() + k] + many[(set + 1) * one.size() + k];
    require(largest_difference(one, gradients) < rounding, "shares of the energy make the energy");
  }
  if (planted) out.gradient[0] += 1e-3;
  engine.pull(*state, crystal.exchange(), n_sets, nullptr, w.data(), many.data());
  for (int set = 0; set < n_sets; ++set) {
    engine.pull(*state, crystal.exchange(), 1, nullptr, w.data() + set * crystal.n * width, one.data());
    const Vector together(many.begin() + set * 3 * n_edges, many.begin() + (set + 1) * 3 * n_edges);
    require(largest_difference(together, one) < rounding, "stacked weights = one after the other");
    const Vector f = crystal.forces(together.data());
    out.stacked.insert(out.stacked.end(), f.begin(), f.end());
  }
  return out;
}

void check_differences(lmp_uq::Engine &engine, Crystal &crystal, const Result &at)
{
  constexpr double h = 1e-4;
  for (std::size_t k = 0; k < crystal.x.size(); k += 5) {
    const double x = crystal.x[k];
    const auto difference = [&](double step) {
      crystal.x[k] = x + step;
      const double above = evaluate(engine, crystal).energy;
      crystal.x[k] = x - step;
      return (above - evaluate(engine, crystal).energy) / (2.0 * step);
    };
    const double slope = (4.0 * difference(h) - difference(2.0 * h)) / 3.0;    // to h^4: a basis that grows with the distance is steep
    crystal.x[k] = x;
    require(std::abs(slope - at.gradient[k]) < 1e-6 * (1.0 + std::abs(at.gradient[k])), "F = -dE/dx");
  }
}

void check_same(const Result &a, const Result &b, double tolerance, const std::string &what)
{
  require(std::abs(a.energy - b.energy) <= tolerance * std::abs(b.energy), what + ": energy");
  require(largest_difference(a.descriptors, b.descriptors) <= tolerance, what + ": descriptors");
  require(largest_difference(a.gradient, b.gradient) <= tolerance, what + ": gradients");
  require(largest_difference(a.stacked, b.stacked) <= tolerance, what + ": stacked gradients");
}

void check_refusals(lmp_uq::Engine &engine, Crystal crystal)
{
  const auto refused = [&](const char *what, const std::function<void(Crystal &)> &damage) {
    Crystal broken = crystal;
    broken.find_neighbours(engine.shape().cutoff);
    damage(broken);
    Vector energies(broken.n), descriptors(broken.n * static_cast<std::size_t>(engine.shape().n_features()));
    try {
      engine.evaluate(broken.graph(), broken.exchange(), true, energies.data(), descriptors.data());
    } catch (const std::runtime_error &) {
      return;
    }
    require(false, std::string("refusal of ") + what);
  };
  refused("an edge without length", [](Crystal &c) { std::fill_n(c.vectors.begin(), 3, 0.0); });
  refused("a vector that is no number", [](Crystal &c) { c.vectors[4] = std::numeric_limits<double>::quiet_NaN(); });
  refused("an unknown species", [](Crystal &c) { c.species[1] = 1000; });
  refused("a neighbour that is not there", [](Crystal &c) { c.neighbours[2] = c.n_nodes(); });
}

// a graph whose edges have no order, sorted by threads
void check_sorted(const Crystal &crystal, double cutoff, int n_elements)
{
  const lmp_uq::SortedGraph one(crystal.graph(), cutoff, n_elements, 1);
  for (int threads : {2, 3, 11}) {
    const lmp_uq::SortedGraph many(crystal.graph(), cutoff, n_elements, threads);
    require(many.node == one.node && many.row == one.row && many.element == one.element, "nodes sorted by any number of threads");
    require(many.start == one.start && many.source == one.source && many.id == one.id && many.length == one.length &&
                many.direction == one.direction,
            "edges sorted by any number of threads");
    int row = 0;
    for (const lmp_uq::Batch &batch : many.batches) require(batch.first == std::exchange(row, batch.last), "batches follow one another");
    require(row == crystal.n && many.share.back() == static_cast<int>(many.batches.size()), "every atom is in a thread's batches");
    for (int thread = 1; thread < threads; ++thread)
      for (int b = many.share[thread]; b < many.share[thread + 1]; ++b)
        for (int e = many.start[many.batches[b].first]; e < many.start[many.batches[b].last]; ++e)
          require(many.touched[thread][many.slots()[e]] == many.source[e], "a thread's rows are those of its edges' sources");
  }
}

// sums over edges by threads
void check_sums(const Crystal &crystal)
{
  const std::int64_t n = static_cast<std::int64_t>(crystal.centres.size());
  const lmp_uq::EdgeSums::Edges edges{crystal.n_nodes(), n, crystal.centres.data(), crystal.neighbours.data(), crystal.vectors.data()};
  const Vector gradients = weights(3 * n), zero(6 * crystal.n_nodes());
  Vector forces(zero), virial(6), of_node(zero);
  for (std::int64_t e = 0; e < n; ++e)
    for (int k = 0; k < 6; ++k) {
      const int a = k < 3 ? k : k == 5, b = k < 3 ? k : k == 3 ? 1 : 2;
      const double w = -0.5 * (crystal.vectors[3 * e + a] * gradients[3 * e + b] + crystal.vectors[3 * e + b] * gradients[3 * e + a]);
      virial[k] += planted ? 1.001 * w : w;
      for (std::int64_t node : {crystal.centres[e], crystal.neighbours[e]}) of_node[6 * node + k] += 0.5 * w;
      if (k < 3) forces[6 * crystal.centres[e] + k] += gradients[3 * e + k], forces[6 * crystal.neighbours[e] + k] -= gradients[3 * e + k];
    }
  for (int threads : {1, 2, 11}) {
    lmp_uq::EdgeSums sums(threads);
    Vector f(zero), v(6), each(zero);
    sums.add_forces(edges, gradients.data(), f.data(), 6);
    sums.add_virial(edges, gradients.data(), v.data(), each.data());
    require(largest_difference(f, forces) < 1e-12, "forces summed by threads");
    require(largest_difference(v, virial) < 1e-12 && largest_difference(each, of_node) < 1e-12, "virials summed by threads");
  }
}

void check(const std::string &path)
{
  const lmp_uq::ModelFile file = lmp_uq::ModelFile::read(path);
  const auto make = [&](bool single, int threads, bool single_bars = false) {
    return lmp_uq::Engine::make(file.header().at("backbone").at("architecture"), file.section("backbone"), {single, -1.0, single_bars, threads});
  };
  const auto engine = make(false, 1), three = make(false, 3), single = make(true, 2);
  const double side = 1.3 * engine->shape().cutoff;
  const int n_elements = engine->shape().n_elements();
  Crystal plain(8, side, n_elements, false), copied(8, side, n_elements, true);
  const Result expected = evaluate(*engine, plain);
  check_differences(*engine, plain, expected);
  check_same(evaluate(*three, plain), expected, 1e-11, "1 = 3 threads");
  check_same(evaluate(*engine, copied), expected, 1e-11, "no ghosts = ghosts");
  check_same(evaluate(*three, copied), expected, 1e-11, "no ghosts = ghosts, 3 threads");
  check_same(evaluate(*single, copied, 1e-5), expected, 1e-3, "float32 = float64");
  const Result mixed = evaluate(*make(false, 3, true), copied, 1e-5);
  check_same({mixed.energy, mixed.descriptors, mixed.gradient, expected.stacked}, expected, 1e-11, "bars alone in float32");
  require(largest_difference(mixed.stacked, expected.stacked) < 1e-3 && mixed.stacked != expected.stacked, "float32 bars");
  check_refusals(*engine, plain);
  copied.find_neighbours(1.1 * engine->shape().cutoff);
  std::reverse(copied.centres.begin() + 7, copied.centres.end());
  std::reverse(copied.neighbours.begin() + 7, copied.neighbours.end());
  check_sorted(copied, engine->shape().cutoff, n_elements);
  check_sums(copied);
  Crystal nobody(0, side, n_elements, false);
  require(evaluate(*three, nobody).energy == 0.0, "no atoms");
}

}    // namespace

int main(int argc, char **argv)
{
  int failures = 0, first = 1;
  if (argc > 1 && std::string(argv[1]) == "planted") planted = true, first = 2;
  if (argc <= first) return std::fprintf(stderr, "check_engine [planted] FILE...\n"), 2;
  for (int k = first; k < argc; ++k) {
    try {
      check(argv[k]);
      std::printf("%s: ok\n", argv[k]);
    } catch (const std::exception &failure) {
      std::printf("%s: %s\n", argv[k], failure.what());
      ++failures;
    }
  }
  return planted ? failures != argc - first : failures != 0;
}
