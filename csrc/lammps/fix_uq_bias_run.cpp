// SPDX-License-Identifier: GPL-2.0-or-later
// FixUqBias: a step: the quantity s, its derivatives by one pull, how strongly they are followed, forces and virial.
#include "fix_uq_bias.h"

#include "force_computation.h"
#include "guard.h"
#include "over_ranks.h"
#include "pair_mace_uq.h"

#include "lammps/atom.h"
#include "lammps/error.h"
#include "lammps/update.h"

#include <algorithm>
#include <array>
#include <cmath>

using namespace LAMMPS_NS;

static constexpr char WHO[] = "Fix uq/bias";
static constexpr double CAP_OFFSET = 0.2;    // eV/Angstrom: of an atom without force

void FixUqBias::setup(int vflag) { post_force(vflag); }

void FixUqBias::post_force(int vflag)
{
  v_init(vflag);
  lmp_uq::guarded(lmp, WHO, [&] { push(); });
}

// of the group; part: 0 of atoms that have no grade
void FixUqBias::find_largest(const double *grade, const double *part)
{
  double here = 0.0;
  for (int i = 0; i < atom->nlocal; i++)
    if ((atom->mask[i] & groupbit) && part[i] > 0.0) here = std::max(here, grade[i]);
  largest = lmp_uq::max_over_ranks(world, here);
  if (kind == GRADE && !std::isfinite(largest))
    error->all(FLERR, "Fix uq/bias {}: an atom of the group has an infinite grade on step {}, that of an element without training atoms; "
               "accepted: a group without it", id, update->ntimestep);
}

// s = (mean of G^p)^(1/p), by ratios: powers of grades would overflow; ds/dG_i = (G_i/s)^(p-1) / n
void FixUqBias::find_factors(const double *grade, const double *part)
{
  const auto counts = [&](int i) { return (atom->mask[i] & groupbit) && part[i] > 0.0; };
  std::array<double, 2> sums = {};
  for (int i = 0; i < atom->nlocal; i++)
    if (counts(i)) {
      sums[0] += largest > 0.0 ? std::pow(grade[i] / largest, power) : 0.0;
      sums[1] += 1.0;
    }
  sums = lmp_uq::sum_over_ranks(world, sums);
  s = sums[0] > 0.0 ? largest * std::pow(sums[0] / sums[1], 1.0 / power) : 0.0;
  factors.assign(atom->nlocal + 1, 0.0);    // never empty: a rank without atoms still hands a pointer over
  for (int i = 0; i < atom->nlocal; i++)
    if (counts(i) && s > 0.0) factors[i] = std::pow(grade[i] / s, power - 1.0) / sums[1];
}

void FixUqBias::push()
{
  PairMaceUq &pair = *PairMaceUq::find(lmp, WHO, of_pair);
  lmp_uq::ForceComputation &last = pair.last();
  if (pair.model().info.available[UQ_GRADE]) {
    const double *grade = last.field({UQ_GRADE}), *part = last.participation();
    find_largest(grade, part);
    if (kind == GRADE) find_factors(grade, part);
  }
  const auto slope = kind == GRADE ? last.pull_grades(factors) : last.pull_total_std(s);
  tau = strength_now(last, slope.forces);
  if (tau == 0.0) return;
  for (int i = 0; i < atom->nlocal; i++)
    for (int a = 0; a < 3; a++) atom->f[i][a] -= tau * slope.forces[3 * i + a];
  for (int k = 0; k < 6 && vflag_global; k++) virial[k] -= tau * slope.virial[k];
}

// tau of this step; slope (nlocal, 3): -ds/dx. The cap lowers the bias as a whole: cut atom by atom, its forces would push the system along and
// belong to no virial.
double FixUqBias::strength_now(lmp_uq::ForceComputation &last, const double *slope)
{
  const double *force = last.model_forces(), *part = last.participation();
  const auto norm = [](const double *v) { return std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]); };
  std::array<double, 3> sums = {};
  double room = NONE;
  for (int i = 0; i < atom->nlocal; i++) {
    if (part[i] == 0.0) continue;
    const double f = norm(force + 3 * i), g = norm(slope + 3 * i);
    sums[0] += f;
    sums[1] += g;
    sums[2] += 1.0;
    if (g > 0.0) room = std::min(room, (cap * f + CAP_OFFSET) / g);
  }
  sums = lmp_uq::sum_over_ranks(world, sums);
  if (sums[2] > 0.0) strength.see(update->ntimestep, sums[0] / sums[2], sums[1] / sums[2]);
  if (largest > until) return 0.0;
  const double now = relative ? strength.tau(asked) : asked;
  return cap == NONE ? now : std::min(now, lmp_uq::min_over_ranks(world, room));
}
