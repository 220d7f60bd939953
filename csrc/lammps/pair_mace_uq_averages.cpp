// SPDX-License-Identifier: GPL-2.0-or-later
// PairMaceUq: what averages over a run need: features of the whole system, and how they change with strain.
#include "pair_mace_uq.h"

#include "pair_mace_uq_impl.h"

#include "lammps/error.h"
#include "lammps/update.h"

#include <algorithm>

using namespace LAMMPS_NS;

// Central differences: the square of the strain times a third derivative of order 100 is about 1e-5 of the result or less, rounding of a
// float32 model over the strain 1e-4. As lmp_uq.frame_samples.
static constexpr double STRAIN = 3e-4;

int PairMaceUq::n_features() const { return impl->info.n_features; }

std::string PairMaceUq::model() const { return impl->file + ", sha256 " + std::string(impl->info.sha256).substr(0, 16); }

void PairMaceUq::total_features(double *sum)
{
  current_or_error();
  guarded([&] {
    std::vector<double> all;
    sum_features(all);
    std::copy(all.begin(), all.end(), sum);
  });
}

void PairMaceUq::evaluator_or_error()
{
  if (!impl->evaluator)
    error->all(FLERR, "Pair style mace/uq: all pair coeffs are not set: pair_coeff * * file.uq elements must follow pair_style");
}

void PairMaceUq::row_bars(const double *row, double value, double std_lower_upper[3])
{
  evaluator_or_error();
  guarded([&] { impl->evaluator->totals(row, value, std_lower_upper); });
}

void PairMaceUq::member_shifts(const double *row, double *shifts)
{
  evaluator_or_error();
  guarded([&] { impl->evaluator->member_energies(row, 0.0, shifts); });
}

// Forward passes on strained edge vectors: two for each strain give all P numbers, where reverse passes would be P. What is kept of the step
// stays. Collective.
void PairMaceUq::virial_rows(bool trace, double *rows)
{
  static constexpr double E[7][9] = {{1, 0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 1, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0, 1},
                                     {0, 1, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 1, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 1, 0, 0, 0},
                                     {1, 0, 0, 0, 1, 0, 0, 0, 1}};
  current_or_error();
  guarded([&] {
    const std::size_t width = impl->info.n_features;
    const int n_rows = trace ? 1 : 6;
    std::vector<double> more, less, mine;
    for (int a = 0; a < n_rows; a++) {
      strained_features(E[trace ? 6 : a], STRAIN, more);
      strained_features(E[trace ? 6 : a], -STRAIN, less);
      for (std::size_t p = 0; p < width; p++) mine.push_back((less[p] - more[p]) / (2.0 * STRAIN));
    }
    MPI_Allreduce(mine.data(), rows, static_cast<int>(mine.size()), MPI_DOUBLE, MPI_SUM, world);
  });
}

// features of this rank with every edge vector r moved by scale times e (3, 3) r
void PairMaceUq::strained_features(const double *e, double scale, std::vector<double> &sum)
{
  uq_graph view = graph_view();
  const double *r = view.vectors;
  std::vector<double> vectors(3 * view.n_edges + 3);    // never empty: a pointer is handed over
  for (int64_t k = 0; k < 3 * view.n_edges; k++) {
    const double *of = r + k / 3 * 3, *row = e + k % 3 * 3;
    vectors[k] = r[k] + scale * (row[0] * of[0] + row[1] * of[1] + row[2] * of[2]);
  }
  view.vectors = vectors.data();
  sum.assign(impl->info.n_features, 0.0);
  impl->evaluator->feature_sum_of(view, sum.data());
}
