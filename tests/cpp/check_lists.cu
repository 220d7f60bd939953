// SPDX-License-Identifier: GPL-2.0-or-later
// Neighbour lists on an emulated device, as LAMMPS gives them. While a list stays its launches are recorded and come again, and atoms move:
// the same bits as by edges without a list. Forces and virials are sums of the edges' gradients, coefficients are weights that all atoms
// share. Built and run by tests/cpp/run.sh under sanitizers: check_lists [planted] FILE...
#include "file/model_file.h"
#include "mace/cuda/cuda_engine.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace lmp_uq;
using Vector = std::vector<double>;
bool planted = false;

void hold(bool holds, const std::string &what)
{
  if (!holds) throw std::logic_error(what);
}

double largest_difference(const Vector &a, const Vector &b)
{
  double out = 0.0, scale = 1e-300;
  for (std::size_t k = 0; k < b.size(); ++k) out = std::max(out, std::abs(a.at(k) - b[k])), scale = std::max(scale, std::abs(b[k]));
  return out / scale;
}

// A periodic cell. Its images are sites of their own, and nodes too where they are ghosts; the last site is nobody's neighbour.
struct Cell {
  static constexpr int N = 3;
  double side;
  bool ghosts;
  Vector home;
  std::vector<std::int64_t> species, centres, neighbours;
  std::vector<int> owner, shift, node_of_site, site_of_node, site_of_edge;    // owner, shift (3) of each site
  Vector positions, vectors;

  Cell(double length, int n_elements, bool with_ghosts) : side(length), ghosts(with_ghosts), home(3 * N)
  {
    std::mt19937 random(1);
    for (int i = 0; i < N; ++i) {
      species.push_back((n_elements - 1) * (i % 2));
      for (int k = 0; k < 3; ++k) home[3 * i + k] = side * (0.5 * (k != i) + random() % 100 / 1000.0);
    }
  }

  int n_sites() const { return static_cast<int>(owner.size()); }
  int n_nodes() const { return static_cast<int>(species.size()); }

  // of all that is nearer than `reach`, in no order
  void find(double reach)
  {
    owner.resize(N), std::iota(owner.begin(), owner.end(), 0);
    shift.assign(3 * N, 0), species.resize(N), centres.clear(), neighbours.clear(), site_of_edge.clear();
    site_of_node = node_of_site = owner;
    for (int cell = 0; cell < 125; ++cell)
      for (int j = 0; j < N; ++j) add_image(j, {cell % 5 - 2, cell / 5 % 5 - 2, cell / 25 - 2}, reach);
    owner.push_back(0), node_of_site.push_back(-1), shift.insert(shift.end(), {3, 3, 3});
    std::vector<int> order(centres.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(2));
    if (!ghosts) std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return centres[a] < centres[b]; });
    const Cell before = *this;
    for (std::size_t e = 0; e < order.size(); ++e)
      centres[e] = before.centres[order[e]], neighbours[e] = before.neighbours[order[e]], site_of_edge[e] = before.site_of_edge[order[e]];
  }

  void add_image(int j, std::array<int, 3> by, double reach)
  {
    const bool same = !by[0] && !by[1] && !by[2];
    int site = same ? j : -1;
    for (int i = 0; i < N; ++i) {
      double square = 0.0;
      for (int k = 0; k < 3; ++k) square += std::pow(home[3 * j + k] + by[k] * side - home[3 * i + k], 2);
      if (square >= reach * reach || (same && i == j)) continue;
      if (site < 0) {
        site = n_sites();
        owner.push_back(j), shift.insert(shift.end(), by.begin(), by.end());
        node_of_site.push_back(ghosts ? n_nodes() : j);
        if (ghosts) species.push_back(species[j]), site_of_node.push_back(site);
      }
      centres.push_back(i), neighbours.push_back(node_of_site[site]), site_of_edge.push_back(site);
    }
  }

  void move(double by)
  {
    for (int k = 0; k < 3 * N; ++k) home[k] += by * std::sin(1.0 + k);
  }

  void place()
  {
    positions.resize(3 * n_sites()), vectors.resize(3 * centres.size());
    for (int k = 0; k < 3 * n_sites(); ++k) positions[k] = home[3 * owner[k / 3] + k % 3] + shift[k] * side;
    for (std::size_t k = 0; k < vectors.size(); ++k)
      vectors[k] = positions[3 * site_of_edge[k / 3] + k % 3] - positions[3 * centres[k / 3] + k % 3];
  }

  AtomGraph graph(std::int64_t number) const
  {
    const auto n_edges = static_cast<std::int64_t>(centres.size());
    AtomGraph out{N, n_nodes(), species.data(), n_edges, centres.data(), neighbours.data(), vectors.data()};
    if (!number) return out;
    out.vectors = nullptr;
    out.list = {number, n_sites(), node_of_site.data(), site_of_node.data(), site_of_edge.data(), positions.data()};
    return out;
  }

  GhostExchange exchange()
  {
    if (!ghosts) return {};
    return {this, [](void *c, const GhostRows *rows) { return static_cast<Cell *>(c)->pass(*rows, true); },
            [](void *c, const GhostRows *rows) { return static_cast<Cell *>(c)->pass(*rows, false); }, nullptr};
  }
  int pass(const GhostRows &rows, bool forward) const
  {
    std::vector<int> all, owners;
    for (int node = N; node < n_nodes(); ++node) all.push_back(node), owners.push_back(owner[site_of_node[node]]);
    const int n = static_cast<int>(all.size());
    Vector message(n * rows.width + 1);
    rows.pack(rows.holder, n, forward ? owners.data() : all.data(), message.data());
    if (forward) rows.unpack(rows.holder, N, n, message.data());
    else rows.add(rows.holder, n, owners.data(), message.data());
    return 0;
  }
};

struct Pull {
  Vector gradients, forces, virials;
};

Pull pull(ListEngine &engine, const Engine::State &state, Cell &cell, int n_sets, const ListEngine::PullWeights &weights)
{
  const std::size_t n = n_sets;
  Pull out{Vector(n * cell.vectors.size()), Vector(3 * n * cell.n_nodes()), Vector(6 * n)};
  engine.pull_to(state, cell.exchange(), n_sets, weights, {out.gradients.data(), out.forces.data(), out.virials.data()});
  return out;
}

void check_sums(const Cell &cell, const Pull &pulled)
{
  const std::size_t n_edges = cell.centres.size();
  Vector forces(pulled.forces.size(), 0.0), virials(pulled.virials.size(), 0.0);
  for (std::size_t k = 0; k < pulled.gradients.size(); ++k) {
    const std::size_t set = k / (3 * n_edges), e = k / 3 % n_edges, x = k % 3, first = 3 * set * cell.n_nodes();
    forces[first + 3 * cell.centres[e] + x] += pulled.gradients[k];
    forces[first + 3 * cell.neighbours[e] + x] -= pulled.gradients[k];
    for (std::size_t c = 0; c < 6; ++c) {
      const std::size_t a = c < 3 ? c : c == 5, b = c < 3 ? c : c == 3 ? 1 : 2;    // xx yy zz xy xz yz
      virials[6 * set + c] -= 0.5 * pulled.gradients[k] * ((x == b) * cell.vectors[3 * e + a] + (x == a) * cell.vectors[3 * e + b]);
    }
  }
  hold(largest_difference(pulled.forces, forces) < 1e-12, "forces = sums of gradients");
  hold(largest_difference(pulled.virials, virials) < 1e-12, "virials = -sums of r x gradients");
}

struct Step {
  Vector energies, descriptors;
  std::vector<Pull> pulls;
};

// number: of the list, 0: without one
Step step(ListEngine &engine, Cell &cell, std::int64_t number, bool first, double rounding)
{
  constexpr int n_sets = 5, n_local = Cell::N;    // more than one pass takes
  const std::size_t width = engine.shape().n_features();
  Step out{Vector(n_local), Vector(n_local * width), {}};
  const auto state = engine.evaluate(cell.graph(number), cell.exchange(), true, out.energies.data(), out.descriptors.data());
  Vector ones(n_local, 1.0), coefficients(n_sets * width), of_atoms(n_sets * n_local), each(n_sets * n_local * width);
  for (std::size_t k = 0; k < coefficients.size(); ++k) coefficients[k] = std::sin(1.0 + k);
  for (std::size_t k = 0; k < of_atoms.size(); ++k) of_atoms[k] = std::cos(1.0 + k);
  for (std::size_t k = 0; k < each.size(); ++k) each[k] = of_atoms[k / width] * coefficients[k / width / n_local * width + k % width];
  out.pulls.push_back(pull(engine, *state, cell, 1, {ones.data(), nullptr, nullptr, nullptr}));
  out.pulls.push_back(pull(engine, *state, cell, n_sets, {nullptr, nullptr, coefficients.data(), of_atoms.data()}));
  if (planted) out.pulls[0].forces[0] += 1e-6;
  for (const Pull &pulled : out.pulls) check_sums(cell, pulled);
  if (first) {
    const Pull same = pull(engine, *state, cell, n_sets, {nullptr, each.data(), nullptr, nullptr});
    hold(largest_difference(out.pulls[1].gradients, same.gradients) < rounding, "coefficients = weights of each atom");
  }
  return out;
}

void check_same(const Step &a, const Step &b, const std::string &what)
{
  hold(a.energies == b.energies && a.descriptors == b.descriptors, what + ": energies and descriptors");
  for (std::size_t k = 0; k < b.pulls.size(); ++k)
    hold(a.pulls[k].gradients == b.pulls[k].gradients && a.pulls[k].forces == b.pulls[k].forces && a.pulls[k].virials == b.pulls[k].virials,
         what + ": pull " + std::to_string(k));
}

void check_refusal(ListEngine &engine, Cell &cell)
{
  const double x = std::exchange(cell.positions[3], std::numeric_limits<double>::quiet_NaN());
  Vector energies(Cell::N), descriptors(Cell::N * static_cast<std::size_t>(engine.shape().n_features()));
  try {
    engine.evaluate(cell.graph(1), cell.exchange(), true, energies.data(), descriptors.data());
  } catch (const std::runtime_error &) {
    cell.positions[3] = x;
    return;
  }
  hold(false, "refusal of a position that is no number");
}

// n_sharing: processes that share the device; of many, each has so little memory that its atoms come in chunks
template <class T> void check(const ModelFile &file, int n_sharing, bool ghosts)
{
  const double rounding = sizeof(T) == 8 ? 1e-10 : 1e-3;
  const auto engine = [&] {
    return cuda::CudaEngine<T>(Architecture::read(file.header().at("backbone").at("architecture")), file.section("backbone"),
                               {0, sizeof(T) == 4, 1, n_sharing, 1e-3});    // short tables
  };
  auto listed = engine(), plain = engine();
  const double cutoff = listed.shape().cutoff;
  const auto run = [&](ListEngine &on, bool lists) {
    std::vector<Step> out;
    Cell cell(1.4 * cutoff, on.shape().n_elements(), ghosts);
    for (int number : {1, 2}) {
      cell.find(1.2 * cutoff);
      for (int k = 0; k < (number == 1 ? 4 : 1); ++k) {
        if (k) cell.move((k == 3 ? -0.08 : 0.04) * cutoff);    // a recording comes again with more edges
        cell.place();
        if (lists && k == 3) check_refusal(on, cell);
        out.push_back(step(on, cell, lists ? number : 0, out.empty() && !lists, rounding));
      }
    }
    return out;
  };
  const std::vector<Step> expected = run(plain, false), found = run(listed, true);    // one first: what it makes would end recordings
  for (std::size_t k = 0; k < expected.size(); ++k)
    check_same(found[k], expected[k], "step " + std::to_string(k) + (ghosts ? ", ghosts" : ", images") + ", " + std::to_string(n_sharing));
}

}    // namespace

int main(int argc, char **argv)
{
  int failures = 0, first = 1;
  if (argc > 1 && std::string(argv[1]) == "planted") planted = true, first = 2;
  if (argc <= first) return std::fprintf(stderr, "check_lists [planted] FILE...\n"), 2;
  for (int k = first; k < argc; ++k) {
    try {
      const ModelFile file = ModelFile::read(argv[k]);
      check<double>(file, 1, false), check<float>(file, 1, true), check<float>(file, 32768, false);
      std::printf("%s: ok\n", argv[k]);
    } catch (const std::exception &failure) {
      std::printf("%s: %s\n", argv[k], failure.what());
      ++failures;
    }
    std::fflush(stdout);
  }
  return planted ? failures != argc - first : failures != 0;
}
